"""The body of a request: read within its limits, as it comes; and whether its client still waits."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from service.admission import Admission
from service.errors import LengthRequired, PayloadTooLarge


class Body:
    """The body of one request and the headers that speak of it.

    Its bytes are admitted as they are announced or come, and released by `forget`.
    """

    def __init__(self, scope: Scope, receive: Receive, max_bytes: int, pending: Admission) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        self.headers = headers
        self.complete = False
        self._pending = pending
        self._admitted = 0
        self.content_type: str = headers.get(b"content-type", b"").decode("latin-1")
        self.media_type = media_type_of(self.content_type)
        self._length: bytes | None = headers.get(b"content-length")
        self._chunked = b"transfer-encoding" in headers
        self._receive = receive
        self._max_bytes = max_bytes

    async def read(self, take: Callable[[bytes], None]) -> None:
        """Hand over the body as it comes.

        Raises LengthRequired, PayloadTooLarge or Overloaded (at the stated length, or once more has come)
        or ClientDisconnect.
        """
        if self._length is not None and self._length.isdigit():
            self._admit(int(self._length))
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
            self._admit(received)
            take(chunk)
            more = message.get("more_body", False)
        self.complete = True

    def forget(self) -> None:
        """Nothing of the body is held any longer."""
        self._pending.release(self._admitted)
        self._admitted = 0

    def abandoned(self) -> bool:
        """Whether the client has gone, asked without waiting: a message would be there at once."""
        waiting = cast(Coroutine[Any, Any, Message], self._receive())
        try:
            waiting.send(None)
        except StopIteration as message:
            return bool(message.value["type"] == "http.disconnect")
        waiting.close()
        return False

    def _admit(self, size: int) -> None:
        if size > self._max_bytes:
            raise PayloadTooLarge(f"The body is over the limit of {self._max_bytes:,} bytes.")
        if size > self._admitted:
            self._pending.admit(size - self._admitted)
            self._admitted = size


def media_type_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
