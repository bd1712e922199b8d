"""What stands before every method: its message is received when there is room, and within its time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing, nullcontext
from functools import partial
from typing import Any

from service.errors import InvalidRequest, NotReady, Overloaded, ServiceError
from service.rpc.calls import Calls, Scope, needs_key
from service.rpc.exchange import EOF, Exchange, Method
from service.rpc.fields import readable
from service.rpc.messages import SERVICE
from service.rpc.room import Room
from service.rpc.timing import Timed
from service.serving.deadlines import Deadlines

Answer = Callable[[Any, Any], Awaitable[Any]]
Answered = Callable[[Exchange], Awaitable[Any]]

# A call without a message is mostly over, its message being too large or its client gone; grpc takes so
# long to cancel it.
ENDS_S = 1.0


# What needs no key has half of all calls at most: each that watches health is kept open. Its messages are
# of a few bytes, and have little time.
MOST_OPEN = 128
OPEN_S = 5.0
TOLD_S = 0.05  # in which those who watch hear that it stops
STOPS = "The service stops: ask another, or come again."


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
        self._streaming: set[Exchange] = set()
        self._leaving = False

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

    async def leave(self) -> None:
        """Whoever watches hears the last, and is left; streams end when what came of them is answered."""
        self._leaving = True
        for context in self._streaming:
            context.interrupt(NotReady(STOPS))
        if self._watching:
            await asyncio.sleep(TOLD_S)
        for task in self._watching:
            task.cancel()

    async def _messages(self, context: Exchange) -> AsyncIterator[Any]:
        """Of a stream, as they come. Raises NotReady where the service stops."""
        self._streaming.add(context)
        try:
            while not self._leaving:
                message = await context.read()
                if message is EOF:
                    return
                yield message
        finally:
            self._streaming.discard(context)
        raise NotReady(STOPS)

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
                    async with aclosing(answer(self._messages(context), context)) as answers:
                        async for message in answers:
                            await context.write(message)
            except (ServiceError, TimeoutError) as error:
                await self._calls.refuse(context, path, error)

        return answered
