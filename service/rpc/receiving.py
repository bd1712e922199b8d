"""Which calls may send their messages: as many as there is room for among the bytes of all bodies.

A message is received whole, and nobody can tell before how large it is. So room for the largest is taken
before one is asked for, and what it does not need is given back once it is there. A call that waits has
sent no more than the window that HTTP/2 gives it (64 KiB).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager, nullcontext
from functools import partial
from typing import Any

from service.errors import InvalidRequest, Overloaded, ServiceError
from service.rpc.calls import Calls, Scope, needs_key
from service.rpc.exchange import EOF, Exchange, Method
from service.rpc.fields import readable
from service.rpc.messages import SERVICE
from service.rpc.timing import Sending, Timed
from service.serving.admission import Admission
from service.serving.deadlines import Deadlines

Answer = Callable[[Any, Any], Awaitable[Any]]
Answered = Callable[[Exchange], Awaitable[Any]]

# A message may be as large as this part of all bodies, so that there is room for several.
LARGEST_PART = 4

# A call without a message is mostly over, its message being too large or its client gone; grpc takes so
# long to cancel it.
ENDS_S = 1.0


# What needs no key has half of all calls at most: each that watches health is kept open. Its messages are
# of a few bytes, and have little time.
MOST_OPEN = 128
OPEN_S = 5.0
TOLD_S = 0.05  # in which those who watch hear that it stops

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


class Receiving:
    """Stands before every method: its message is received when there is room.

    Methods of the protocol are called with the scope of their call in the place of its context.
    """

    def __init__(self, room: Room, calls: Calls, deadlines: Deadlines, timeout_s: float) -> None:
        """`timeout_s`: within which a message is to be there."""
        self._room = room
        self._calls = calls
        self._deadlines = deadlines
        self._timeout_s = timeout_s
        self._open = 0
        self._watching: set[asyncio.Task[Any]] = set()

    def method(self, path: str, handler: Any) -> Method:
        """Of a handler, as generated code makes them."""
        if handler.request_streaming:
            answered = self._stream(handler.stream_stream, path)
        elif path.startswith(f"/{SERVICE}/"):
            answered = self._call(handler.unary_unary, path)
        elif handler.unary_stream:
            answered = self._watch(handler.unary_stream, path)
        else:
            answered = self._call_beside(handler.unary_unary, path)
        if not needs_key(path):
            answered = self._one_of_the_open(answered, path)
        read, write = readable(handler.request_deserializer), handler.response_serializer
        return Method(answered, read, write, partial(self._room.until_taken, self._deadlines))

    def _one_of_the_open(self, answer: Answered, path: str) -> Answered:
        async def answered(context: Exchange) -> Any:
            if self._open >= MOST_OPEN:
                too_many = f"{MOST_OPEN} calls that need no key are open; come again."
                return await self._calls.refuse(context, path, Overloaded(too_many, 1))
            self._open += 1
            try:
                return await answer(context)
            finally:
                self._open -= 1

        return answered

    def _call(self, answer: Answer, path: str) -> Answered:
        with_key = needs_key(path)

        async def answered(context: Exchange) -> Any:
            async def received_and_answered(scope: Scope) -> Any:
                return await self._received(context, with_key, answer, scope)

            return await self._calls.answered(context, path, received_and_answered)

        return answered

    def _call_beside(self, answer: Answer, path: str) -> Answered:
        """Of grpc's own services, which answer for themselves."""
        with_key = needs_key(path)

        async def answered(context: Exchange) -> Any:
            try:
                return await self._received(context, with_key, answer, context)
            except (ServiceError, TimeoutError) as error:
                await self._calls.refuse(context, path, error)

        return answered

    def _watch(self, answer: Answer, path: str) -> Answered:
        """Of health, for as long as a client likes."""
        beside = self._call_beside(answer, path)

        async def answered(context: Exchange) -> Any:
            task = asyncio.current_task()
            assert task
            self._watching.add(task)
            try:
                return await beside(context)
            finally:
                self._watching.discard(task)

        return answered

    async def end_watches(self) -> None:
        """Nothing changes any more once the last is told, and they would end with their clients alone."""
        if self._watching:
            await asyncio.sleep(TOLD_S)
        for task in self._watching:
            task.cancel()

    async def _received(self, context: Exchange, with_key: bool, answer: Answer, scope: Any) -> Any:
        """What is answered to the message, which has its room until then.

        Raises ServiceError or TimeoutError, or what `answer` raises.
        """
        held = None
        try:
            with Timed(self._deadlines, time.monotonic() + self._timeout_s) as timed:
                held = await self._room.for_message(with_key)
                if not with_key:
                    timed.expires_at = min(timed.expires_at, time.monotonic() + OPEN_S)
                request = await context.read()
                if request is EOF:
                    await asyncio.sleep(ENDS_S)
                    raise InvalidRequest("The call ended without a message.")
                held.received(request.ByteSize())
            return await answer(request, scope)
        finally:
            if held:
                held.release()

    def _stream(self, answer: Callable[[Any, Any], Any], path: str) -> Answered:
        """The protocol's are kept open between messages; others, which need no key, have little time."""
        with_key = needs_key(path)

        def limit() -> AbstractContextManager[Any]:
            if with_key:
                return nullcontext()  # what is watched is looked at all the time
            return Timed(self._deadlines, time.monotonic() + self._timeout_s)

        async def answered(context: Exchange) -> None:
            try:
                self._calls.check_key(context, path)
                with self._room.for_stream(with_key), limit():
                    async with aclosing(answer(context.messages(), context)) as answers:
                        async for message in answers:
                            await context.write(message)
            except (ServiceError, TimeoutError) as error:
                await self._calls.refuse(context, path, error)

        return answered
