"""What every path has in common: HEAD wherever GET is, OPTIONS, and which methods are allowed."""

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class Methods:
    """Around the router, which knows only the methods that a route declares."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and (allowed := _allowed(scope)):
            await Response(status_code=204, headers={"Allow": allowed})(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"

        async def send_fitting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                MutableHeaders(scope=message)["Allow"] = _allowed(scope)
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # A copy, because the server looks at the method once more when it writes the answer.
        routed = {**scope, "method": "GET"} if is_head else scope
        try:
            await self._app(routed, receive, send_fitting)
        finally:
            if "route" in routed:
                scope["route"] = routed["route"]


def _allowed(scope: Scope) -> str:
    """The methods of a path, or of all for `*`; empty where there is none (RFC 9110, section 10.2.1)."""
    if scope["path"] == "*":
        return ", ".join(("GET", "HEAD", "OPTIONS", "POST"))
    routes = scope["app"].router.routes
    found = {
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    }
    if not found:
        return ""
    return ", ".join(sorted(found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set())))
