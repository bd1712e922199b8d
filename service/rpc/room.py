"""Which calls may send their messages: as many as there is room for among the bytes of all bodies.

A message is received whole, and nobody can tell before how large it is. So room for the largest is taken
before one is asked for, and what it does not need is given back once it is there. A call that waits has
sent no more than the window that HTTP/2 gives it (64 KiB).
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import Overloaded
from service.rpc.timing import Sending
from service.serving.admission import Admission
from service.serving.deadlines import Deadlines

# A message may be as large as this part of all bodies, so that there is room for several.
LARGEST_PART = 4

# A client that takes in nothing of its answer for so long has gone.
STALL_S = 60.0


class Room:
    """For messages that are being received: by calls at most a half of all bytes, by streams a quarter.

    What needs no key has room of its own, an eighth for either: it takes none from those who have one.
    """

    def __init__(self, pending: Admission, max_body_bytes: int) -> None:
        self.message_bytes = max(1, min(max_body_bytes, pending.limit // LARGEST_PART))
        largest = max(1, pending.limit // self.message_bytes)
        few = max(1, largest // 8)
        self._pending = pending
        self._calls = {True: asyncio.Semaphore(max(1, largest // 2)), False: asyncio.Semaphore(few)}
        self._most_streams = {True: max(1, largest // 4), False: few}
        self._streams = {True: 0, False: 0}

    async def for_message(self, with_key: bool) -> "Held":
        """For one, in turn. Raises Overloaded."""
        calls = self._calls[with_key]
        await calls.acquire()
        try:
            self._pending.admit(self.message_bytes)
        except Overloaded:
            calls.release()
            raise
        return Held(self.message_bytes, self._pending, calls)

    @contextmanager
    def for_stream(self, with_key: bool) -> Iterator[None]:
        """For its messages, one at a time: the next may come whenever it likes. Raises Overloaded."""
        streams = self._streams[with_key]
        if streams >= self._most_streams[with_key]:
            raise Overloaded(f"{streams:,} streams are open; one more has no room for its messages.", 1)
        self._pending.admit(self.message_bytes)
        self._streams[with_key] += 1
        try:
            yield
        finally:
            self._streams[with_key] -= 1
            self._pending.release(self.message_bytes)

    def until_taken(self, deadlines: Deadlines, size: int) -> Sending:
        """While an answer of so many bytes is on its way: others find the less room."""
        return Sending(deadlines, time.monotonic() + STALL_S, self._pending, size)


class Held:
    """The room of one message: of the largest, until it is known how large this one is."""

    __slots__ = ("_bytes", "_calls", "_pending", "_receiving")

    def __init__(self, held: int, pending: Admission, calls: asyncio.Semaphore) -> None:
        self._bytes = held
        self._pending = pending
        self._calls = calls
        self._receiving = True

    def received(self, size: int) -> None:
        """It is there, and as large as that."""
        self._receiving = False
        self._calls.release()
        self._pending.release(self._bytes - size)
        self._bytes = size

    def release(self) -> None:
        """Nobody needs it any longer."""
        self._pending.release(self._bytes)
        if self._receiving:
            self._calls.release()
