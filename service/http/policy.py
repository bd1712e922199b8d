"""What browsers may do: load and run on the pages served here (W3C, CSP Level 3), and ask from others."""

from collections.abc import Callable, Mapping, Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

Sources = Sequence[str]

_NONE = ("'none'",)
_SELF = ("'self'",)

_EXPOSED_FIELDS = ("X-Request-ID", "Server-Timing", "Retry-After")

# Nothing from elsewhere, nothing inline, no frame around it.
_STRICT: Mapping[str, Sources] = {
    "default-src": _NONE,
    "script-src": _SELF,
    "style-src": _SELF,
    "img-src": (*_SELF, "data:"),
    "connect-src": _SELF,
    "base-uri": _NONE,
    "form-action": _NONE,
    "frame-ancestors": _NONE,
}


def security_headers(also: Mapping[str, Sources]) -> dict[str, str]:
    """The headers of an HTML page. `also`: what it may load beside its own files."""
    policy = {name: (*_STRICT.get(name, ()), *also.get(name, ())) for name in {**_STRICT, **also}}
    return {
        "Content-Security-Policy": "; ".join(" ".join([name, *of]) for name, of in policy.items()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


class CrossOrigin(CORSMiddleware):
    """Pages of `origins` may call (Fetch Standard, section 3.2).

    A preflight of others is answered as any OPTIONS is: browsers go by the fields that the answer lacks.
    Theirs is answered without a key, which none has, and `noted` puts around it what every answer has.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str], noted: Callable[[ASGIApp], ASGIApp]) -> None:
        methods = ("GET", "HEAD", "POST")
        super().__init__(app, origins, methods, ("*",), expose_headers=_EXPOSED_FIELDS)
        self._noted = noted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            headers = Headers(scope=scope)
            if {"origin", "access-control-request-method"} <= set(headers):
                answer = self.preflight_response(headers)
                if answer.status_code == 200:
                    await self._noted(answer)(scope, receive, send)
                else:
                    await self.simple_response(scope, receive, send, headers)
                return
        await super().__call__(scope, receive, send)
