"""A server of grpc's core whose events are taken by the event loop, all that there are in one turn.

grpc.aio takes one call at a time from the core's queue, and makes three tasks of each; its synchronous
server hands over between threads. Here one thread waits for the first event, and nothing else: the loop
takes those that follow, until there are none, and then has it wait again (0018).
"""

import asyncio
from collections.abc import Callable, Mapping
from threading import Semaphore, Thread
from typing import Any

import grpc
from grpc._cython import cygrpc

from service.rpc.exchange import Exchange, Method

# So many calls the core may hand over before it is asked for more.
ASKED = 32

# So many turns of the loop without an event end a burst of them.
IN_VAIN = 2
AT_ONCE = 64  # events, before the loop sees to what else there is
SOON = (("retry-after", "1"),)  # seconds, for whom there is no room
_NOW = 0.0  # a deadline that is over

_HAPPENED, _SHUT_DOWN = cygrpc.CompletionType.operation_complete, cygrpc.CompletionType.queue_shutdown

Option = tuple[str, int]
OfMethod = Callable[[str, Any], Method]


class CoreServer:
    """What generated code adds its methods to, as it does to those of grpc."""

    def __init__(self, of_method: OfMethod, options: tuple[Option, ...], most_calls: int) -> None:
        """`of_method`: from its path and its handler. More than `most_calls` at a time are refused."""
        self._of_method = of_method
        self._most_calls = most_calls
        self._methods: dict[str, Method] = {}
        self._queue = cygrpc.CompletionQueue()
        self._core = cygrpc.Server(options, False)
        self._core.register_completion_queue(self._queue)
        self._burst_over = Semaphore(0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped: asyncio.Future[None] | None = None
        self._thread = Thread(target=self._wait_for_events, name="grpc", daemon=True)

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """They are the registered ones once more."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        for name, handler in handlers.items():
            path = f"/{service}/{name}"
            self._methods[path] = self._of_method(path, handler)

    def add_insecure_port(self, address: str) -> int:
        """Returns the port, which is chosen where it is 0. Raises RuntimeError."""
        port: int = self._core.add_http2_port(address.encode())
        if not port:
            raise RuntimeError(f"cannot listen on {address}")
        return port

    def start(self) -> None:
        """On the running loop."""
        self._loop = asyncio.get_running_loop()
        self._core.start()
        for _ in range(ASKED):
            self._ask()
        self._thread.start()

    async def stop(self, grace_s: float) -> None:
        """Take no more calls; those that are under way after `grace_s` are cancelled."""
        self._stopped = self._loop.create_future()
        self._core.shutdown(self._queue, self._on_stopped)
        try:
            async with asyncio.timeout(grace_s):
                await asyncio.shield(self._stopped)
        except TimeoutError:
            self._core.cancel_all_calls()
            await self._stopped
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._core.destroy()
        self._queue.shutdown()

    def _ask(self) -> None:
        self._core.request_call(self._queue, self._queue, self._on_call)

    def _wait_for_events(self) -> None:
        """On the thread, until the queue is shut down."""
        while (event := self._queue.poll()).completion_type != _SHUT_DOWN:
            try:
                self._loop.call_soon_threadsafe(self._take_events, event)
            except RuntimeError:  # the loop is closed: nobody waits any longer
                return
            del event  # it holds its call
            self._burst_over.acquire()

    def _take_events(self, event: Any, in_vain: int = 0) -> None:
        """That one, and those that are there already or come soon after it.

        `in_vain`: so many turns have brought none.
        """
        try:
            for _ in range(AT_ONCE):
                if event.completion_type != _HAPPENED:
                    break
                in_vain = 0
                happened, event = event, self._queue.poll(_NOW)
                happened.tag(happened)
        finally:  # or no event would ever be taken again
            if event.completion_type == _HAPPENED:
                self._loop.call_soon(self._take_events, event)
            elif event.completion_type == _SHUT_DOWN or in_vain == IN_VAIN:
                self._burst_over.release()
            else:
                self._loop.call_soon(self._look, in_vain + 1)

    def _look(self, in_vain: int) -> None:
        self._take_events(self._queue.poll(_NOW), in_vain)

    def _on_call(self, event: Any) -> None:
        if self._stopped is None:
            self._ask()
        if not event.success:
            return  # it is shut down
        exchange = Exchange(event)
        method = self._methods.get(exchange.path)
        if method is None:
            exchange.refuse(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        elif len(self._tasks) >= self._most_calls:
            exchange.set_trailing_metadata(SOON)
            exchange.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")
        else:
            task = exchange.begin(method, self._loop)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _on_stopped(self, _: Any) -> None:
        if self._stopped and not self._stopped.done():
            self._stopped.set_result(None)
