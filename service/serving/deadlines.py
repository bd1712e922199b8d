"""When requests under way are cut off: their time is over, or their clients have gone."""

import asyncio
import math
import time
from typing import Protocol

# How often it is seen whether anybody still waits for a request under way.
LOOK_S = 0.05


class Watched(Protocol):
    """A request whose time runs."""

    expires_at: float

    def look(self, now: float) -> None:
        """Cut it off when its time is over or nobody waits for it any longer."""


class Deadlines:
    """Looks at all requests under way, every LOOK_S and when the next one's time is over.

    One timer for all: one for each would take a tenth of the time of a request.
    """

    def __init__(self) -> None:
        self._calls: set[Watched] = set()
        self._next = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, call: Watched) -> None:
        self._calls.add(call)
        if call.expires_at < self._next:
            self._schedule(min(call.expires_at, time.monotonic() + LOOK_S))

    def dismiss(self, call: Watched) -> None:
        self._calls.discard(call)

    def _schedule(self, at: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._next = at
        self._timer = asyncio.get_running_loop().call_at(at, self._look)

    def _look(self) -> None:
        self._next, self._timer = math.inf, None
        now = time.monotonic()
        for call in tuple(self._calls):
            call.look(now)
        waiting = [call.expires_at for call in self._calls if call.expires_at > now]
        if self._calls:
            self._schedule(min([now + LOOK_S, *waiting]))
