"""What a browser may load and run on the pages served here: content security policy (W3C, CSP Level 3)."""

from collections.abc import Mapping, Sequence

Sources = Sequence[str]

_NONE = ("'none'",)
_SELF = ("'self'",)

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
    """For an HTML page; `also`: what it may load beside its own files."""
    policy = {name: (*_STRICT.get(name, ()), *also.get(name, ())) for name in {**_STRICT, **also}}
    return {
        "Content-Security-Policy": "; ".join(" ".join([name, *of]) for name, of in policy.items()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
