"""The body of a request: read within its limit, as it comes; and whether its client still waits."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from service.errors import LengthRequired, PayloadTooLarge


class Body:
    """The body of one request and the headers that speak of it."""

    def __init__(self, request: Request, max_bytes: int) -> None:
        headers = dict(request.scope["headers"])
        self.content_type: str = headers.get(b"content-type", b"").decode("latin-1")
        self.media_type = self.content_type.partition(";")[0].strip().lower()
        self._length: bytes | None = headers.get(b"content-length")
        self._chunked = b"transfer-encoding" in headers
        self._receive = request.receive
        self._max_bytes = max_bytes

    async def read(self, take: Callable[[bytes], None]) -> None:
        """Hand over the body as it comes.

        Raises LengthRequired, PayloadTooLarge (at the stated length, or once more has come) or
        ClientDisconnect.
        """
        if self._length is not None and self._length.isdigit():
            self._check_size(int(self._length))
        elif not self._chunked:
            raise LengthRequired("State the body's length: Content-Length, or send it in chunks.")
        received = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk: bytes = message.get("body", b"")
            received += len(chunk)
            self._check_size(received)
            take(chunk)
            more = message.get("more_body", False)

    def abandoned(self) -> bool:
        """Whether the client has gone, asked without waiting: a message would be there at once."""
        waiting = cast(Coroutine[Any, Any, Message], self._receive())
        try:
            waiting.send(None)
        except StopIteration as message:
            return bool(message.value["type"] == "http.disconnect")
        waiting.close()
        return False

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise PayloadTooLarge(f"The body is over the limit of {self._max_bytes:,} bytes.")
