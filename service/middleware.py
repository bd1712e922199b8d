"""Around every request, as pure ASGI: its id, its body limit, its line in the log, and the last net."""

import logging
import re
import time
import uuid
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import InternalError, LengthRequired, PayloadTooLarge
from service.problems import problem_response

logger = logging.getLogger("service.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:/+=-]{1,128}")
_CLIENT_CLOSED_REQUEST = 499


class RequestContext:
    """Gives every request an id, echoed in `X-Request-ID`, and turns a crash into a bare 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = _CLIENT_CLOSED_REQUEST
        except Exception:  # the last net: nothing internal may reach the client
            logger.exception("request failed id=%s", request_id)
            if status:
                raise  # the answer has begun: only closing the connection tells the client
            await problem_response(InternalError(), request_id)(scope, receive, send_with_id)
        finally:
            milliseconds = (time.perf_counter() - started) * 1000
            logger.info(
                "%s %s %d %.1fms id=%s",
                scope["method"],
                quote(scope["path"]),
                status,
                milliseconds,
                request_id,
            )


class BodyLimit:
    """Refuses a body over `max_bytes` at its header, or while it is read when it states no length."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        received = 0

        async def limited_receive() -> Message:
            nonlocal received
            if received == 0:
                self._check_headers(scope["method"], headers)
            message = await receive()
            received += len(message.get("body", b""))
            self._check_size(received)
            return message

        await self._app(scope, limited_receive, send)

    def _check_headers(self, method: str, headers: Headers) -> None:
        length = headers.get("content-length")
        if length is not None and length.isdecimal():
            self._check_size(int(length))
        elif method == "POST" and "transfer-encoding" not in headers:
            raise LengthRequired("State the body's length: Content-Length, or send it in chunks.")

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise PayloadTooLarge(f"The body is over the limit of {self._max_bytes:,} bytes.")


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
