"""One call under way, as grpc's core has it: what a method reads, what it writes, and how it ends.

Methods know it as the context of grpc.aio, of which it has what they need.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeAlias

import grpc
from grpc._cython import cygrpc

logger = logging.getLogger(__name__)

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]

EOF = grpc.aio.EOF
_FLAGS = 0
_FOREVER_S = 366 * 24 * 60 * 60  # a deadline beyond that is none


class Ended(Exception):
    """The call has its status: there is nothing more to say."""


class Method(NamedTuple):
    """What answers a call, and how its messages are read and written. A stream's answer is None.

    `until_taken`: around the time that an answer of so many bytes is on its way.
    """

    answer: Callable[["Exchange"], Awaitable[Any]]
    deserialized: Callable[[bytes], Any]
    serialized: Callable[[Any], bytes]
    until_taken: Callable[[int], AbstractContextManager[Any]] = lambda _: nullcontext()


class Exchange:
    """One call, to be answered once by `answered`."""

    __slots__ = (
        *("_begun", "_call", "_details", "_ended", "_metadata"),
        *("_method", "_reading", "_task", "_trailing"),
    )

    def __init__(self, event: Any) -> None:
        """`event`: by which it came."""
        self._call = event.call
        self._details = event.call_details
        self._metadata: Metadata = event.invocation_metadata
        self._trailing: Metadata = ()
        self._task: asyncio.Task[None] | None = None
        self._reading: asyncio.Future[Any] | None = None
        self._begun = self._ended = False

    @property
    def path(self) -> str:
        return str(self._details.method, "utf-8", "replace")

    def begin(self, method: Method, loop: asyncio.AbstractEventLoop) -> "asyncio.Task[None]":
        """Have it answered; cancelled where the client gives up or its deadline passes."""
        self._method = method
        self._call.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(_FLAGS),), self._closed)
        self._task = loop.create_task(self._answered())
        self._task.add_done_callback(self._over)
        return self._task

    def refuse(self, code: grpc.StatusCode, details: str) -> None:
        """End it at once."""
        self._call.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(_FLAGS),), _seen)
        self._end(code, details)

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def peer(self) -> str:
        return str(self._call.peer(), "utf-8", "replace")

    def time_remaining(self) -> float | None:
        """Seconds, of the client's deadline."""
        seconds: float = self._details.deadline - time.time()
        return None if seconds > _FOREVER_S else max(0.0, seconds)

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        self._trailing = metadata

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> None:
        """Raises Ended, always."""
        self._trailing = trailing_metadata or self._trailing
        self._end(code, details)
        raise Ended

    async def read(self) -> Any:
        """The next message; EOF where none comes any more. Raises what `interrupt` is given."""
        self._reading = asyncio.get_running_loop().create_future()
        event = await self._done(cygrpc.ReceiveMessageOperation(_FLAGS), done=self._reading)
        message = event.batch_operations[0].message()
        return EOF if message is None else self._method.deserialized(message)

    def interrupt(self, error: Exception) -> None:
        """Whoever waits for the next message has that instead."""
        if self._reading and not self._reading.done():
            self._reading.set_exception(error)

    async def write(self, message: Any) -> None:
        """One of several. Raises Ended where nobody hears it any longer."""
        sent = cygrpc.SendMessageOperation(self._method.serialized(message), _FLAGS)
        operations = (*self._beginning(), sent)
        if not (await self._done(*operations)).success:
            raise Ended

    async def _answered(self) -> None:
        try:
            answer = await self._method.answer(self)
            if answer is None:
                self._end(grpc.StatusCode.OK, "")
            else:
                await self._send_last(self._method.serialized(answer))
        except (Ended, asyncio.CancelledError):
            self._end(grpc.StatusCode.CANCELLED, "")

    async def _send_last(self, message: bytes) -> None:
        """An answer with its status: the call is under way until a client has taken it."""
        if self._ended:
            return
        self._ended = True
        last = cygrpc.SendMessageOperation(message, _FLAGS), self._status(grpc.StatusCode.OK, "")
        try:
            with self._method.until_taken(len(message)):
                await self._done(*self._beginning(), *last)
        except TimeoutError:
            self._call.cancel(grpc.StatusCode.CANCELLED.value[0], "The answer was not taken.")

    def _over(self, task: "asyncio.Task[None]") -> None:
        """Of grpc's own services, which answer for themselves: nothing internal may reach the client."""
        error = None if task.cancelled() else task.exception()
        if error:
            logger.error("call failed: %s", self.path, exc_info=error)
            self._end(grpc.StatusCode.UNKNOWN, "")

    def _end(self, code: grpc.StatusCode, details: str) -> None:
        """With that status, unless it has one."""
        if self._ended:
            return
        self._ended = True
        self._call.start_server_batch((*self._beginning(), self._status(code, details)), _seen)

    def _status(self, code: grpc.StatusCode, details: str) -> Any:
        return cygrpc.SendStatusFromServerOperation(self._trailing, code.value[0], details.encode(), _FLAGS)

    def _beginning(self) -> tuple[Any, ...]:
        if self._begun:
            return ()
        self._begun = True
        return (cygrpc.SendInitialMetadataOperation((), _FLAGS),)

    async def _done(self, *operations: Any, done: asyncio.Future[Any] | None = None) -> Any:
        """The event that tells of them. Raises Ended where the call takes none any longer."""
        done = done or asyncio.get_running_loop().create_future()

        def seen(event: Any) -> None:
            if not done.done():
                done.set_result(event)

        if self._call.start_server_batch(operations, seen):
            raise Ended
        return await done

    def _closed(self, event: Any) -> None:
        if event.batch_operations[0].cancelled() and self._task:
            self._ended = True
            self._task.cancel()


def _seen(_: Any) -> None:
    """There is nothing to be done about it."""
