"""A signal to stop: not ready at once, answering a while longer, and only then the server's own stop."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

LEAVING = "leaving"  # of the lifespan's state: the event that the server takes no more connections


@contextmanager
def draining(on_stop: Callable[[], None], grace_s: float) -> Iterator[None]:
    """Call `on_stop` at the first SIGTERM, and the handler that was there before `grace_s` seconds later.

    A load balancer that asks for readiness then has the time to send its requests elsewhere. A second
    SIGTERM does not wait. Without a handler before, or outside of the main thread, nothing changes.
    """
    stop_server = signal.getsignal(signal.SIGTERM)
    if not callable(stop_server) or threading.current_thread() is not threading.main_thread():
        yield
        return
    stop: Callable[[int, FrameType | None], object] = stop_server
    loop = asyncio.get_running_loop()
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        on_stop()
        if asked or not grace_s:
            stop(number, frame)
        else:
            asked = True
            loop.call_soon_threadsafe(loop.call_later, grace_s, stop, number, None)

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, stop_server)
