"""The body of a request: read within its limits, as it comes; and whether its client still waits.

What counts is what has come, not what is announced. A body may take no more room than it leaves to others,
so that large ones are refused first, and has to come at some rate, so that none keeps its room for nothing.
"""

import math
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, cast

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from service.errors import LengthRequired, PayloadTooLarge, UnsupportedCoding
from service.serving.admission import Admission

_LISTS = (b"accept", b"accept-encoding", b"content-encoding")  # in one line or several (RFC 9110, 5.3)
_MOST_DIGITS = 18  # of a length that is compared; Python refuses to read very long ones

# A body that is still to come has to bring so many bytes in every so many seconds, or the rest of it.
LEAST_BYTES, PATIENCE_S = 8 * 1024, 5.0

# A request that is there whole: its content type, and its body.
RawRequest = tuple[str, bytes]


class Body:
    """The body of one request and the headers that speak of it.

    Its bytes are admitted as they come, and released by `forget`.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        max_bytes: int,
        pending: Admission,
        codings: Sequence[str] = (),
    ) -> None:
        """`codings`: in which the content may come. Raises UnsupportedCoding."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if len(headers) != len(scope["headers"]):
            headers |= {name: _whole(scope["headers"], name) for name in _LISTS if name in headers}
        self.coding = ""
        if b"content-encoding" in headers:
            self.coding = _coding(headers[b"content-encoding"], codings)
        self.headers = headers
        self.complete = False
        self._pending = pending
        self._admitted = 0
        self._had, self._patient_until = 0, math.inf
        self.content_type: str = headers.get(b"content-type", b"").decode("latin-1")
        self.media_type = media_type_of(self.content_type)
        self._length: bytes | None = headers.get(b"content-length")
        self._chunked = b"transfer-encoding" in headers
        self._receive = receive
        self._max_bytes = min(max_bytes, pending.limit)  # more could never be admitted

    async def read(self, take: Callable[[bytes], None]) -> None:
        """Hand over the body as it comes.

        Raises LengthRequired, PayloadTooLarge or Overloaded (at the stated length, or once more has come)
        or ClientDisconnect.
        """
        if self._length is not None and self._length.isdigit():
            self._limit(int(self._length[:_MOST_DIGITS]))
        elif not self._chunked:
            raise LengthRequired("State the body's length: Content-Length, or send it in chunks.")
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk: bytes = message.get("body", b"")
            self._admit(len(chunk))
            take(chunk)
            more = message.get("more_body", False)
        self.complete = True

    async def content(self) -> bytes:
        """The whole body. Raises as `read` does."""
        received = bytearray()  # not a list of chunks, which may be small and many
        await self.read(received.extend)
        return bytes(received)

    def admit_inflated(self, more: int, size: int) -> None:
        """Admit `more` bytes that came of inflating the content, which make `size` so far.

        Raises PayloadTooLarge or Overloaded.
        """
        self._limit(size)
        self._pending.admit(more, size)
        self._admitted += more

    def forget(self) -> None:
        """Nothing of the body is held any longer."""
        self._pending.release(self._admitted)
        self._admitted = 0

    def abandoned(self) -> bool:
        """Whether the client has gone."""
        return has_gone(self._receive)

    def stalls(self, now: float) -> bool:
        """Whether too little of it has come, lately. `now`: in the event loop's time."""
        if self._patient_until == math.inf or self._admitted - self._had >= LEAST_BYTES:
            self._had, self._patient_until = self._admitted, now + PATIENCE_S
        return now >= self._patient_until

    def _limit(self, size: int) -> None:
        if size > self._max_bytes:
            raise PayloadTooLarge(f"The body is over the limit of {self._max_bytes:,} bytes.")

    def _admit(self, more: int) -> None:
        size = self._admitted + more
        self._limit(size)
        self._pending.admit(more, size)
        self._admitted = size


def has_gone(receive: Receive) -> bool:
    """Whether a client has gone all of whose request has come: there would be a message at once."""
    waiting = cast(Coroutine[Any, Any, Message], receive())
    try:
        waiting.send(None)
    except StopIteration as message:
        return bool(message.value["type"] == "http.disconnect")
    waiting.close()
    return False


def _whole(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    return b",".join(value for field, value in headers if field == name)


def _coding(named: bytes, known: Sequence[str]) -> str:
    """The coding of the content, or "" where it has none. Raises UnsupportedCoding."""
    codings = [
        coding.strip().lower().removeprefix("x-") for coding in named.decode("latin-1").split(",")
    ]  # RFC 9110, 8.4.1.3
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if not codings or (len(codings) == 1 and codings[0] in known):
        return "".join(codings)
    names = ", ".join(codings)[:100]
    read = "only identity is read: send it as it is"
    if known:
        read = f"one coding is read: {' or '.join(known)}"
    raise UnsupportedCoding(f"The content is encoded ({names}); {read}.", known)


def media_type_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
