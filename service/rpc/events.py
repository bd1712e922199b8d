"""A server of grpc's core whose events are taken by the event loop, all that there are in one turn.

grpc.aio takes one call at a time from the core's queue, and makes three tasks of each; its synchronous
server hands over between threads. Here one thread waits for events and does nothing else (0018).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from threading import Thread
from typing import Any

import grpc
from grpc._cython import cygrpc

from service.rpc.exchange import Exchange, Method

# So many calls the core may hand over before it is asked for more.
ASKED = 32

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
        self._events: deque[Any] = deque()
        self._told = False  # the loop, of events that it has not taken yet
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
        while True:
            event = self._queue.poll()
            if event.completion_type == cygrpc.CompletionType.queue_shutdown:
                return
            self._events.append(event)
            del event  # it holds its call
            if not self._told:
                self._told = True
                try:
                    self._loop.call_soon_threadsafe(self._take_events)
                except RuntimeError:  # the loop is closed: nobody waits any longer
                    return

    def _take_events(self) -> None:
        self._told = False
        while self._events:
            event = self._events.popleft()
            event.tag(event)

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
            exchange.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")
        else:
            task = exchange.begin(method, self._loop)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _on_stopped(self, _: Any) -> None:
        if self._stopped and not self._stopped.done():
            self._stopped.set_result(None)
