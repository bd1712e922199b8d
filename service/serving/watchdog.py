"""Sees that every batch ends: one that does not makes the service not live, and then ends the process.

A thread cannot be ended from outside, so nothing short of the process frees what a model that loops has
taken. Whoever watches over the process starts it again: an orchestrator, systemd, our own supervisor.
"""

import logging
import os
from collections.abc import Callable, Collection
from threading import Event, Thread

from service.serving.batching import Batcher

logger = logging.getLogger(__name__)

LOOK_S = 1.0

# At most so long between being not live and the end: for a load balancer to turn elsewhere, and for other
# models to answer.
GRACE_S = 10.0

# EX_SOFTWARE of sysexits.h: none that the service ends with otherwise.
EXIT_CODE = 70


class Watchdog:
    """A thread of its own, for a batch may be computed on the event loop."""

    def __init__(
        self,
        computing: Collection[Batcher],
        tell: Callable[[dict[str, str]], None],
        at_most_s: float,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        """`tell` is told what hangs, by the model's name, at every look. `end` ends the process.

        `computing` changes on another thread.
        """
        self._computing = computing
        self._tell = tell
        self._at_most_s = at_most_s
        self._ends_after_s = at_most_s + min(at_most_s, GRACE_S)
        self._end = end
        self._batches: dict[Batcher, tuple[float, float]] = {}
        self._hung: dict[str, str] = {}
        self._stopped = Event()

    def start(self) -> None:
        Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def look(self) -> None:
        """Once every LOOK_S. Time counts by looks: a process that was stopped as a whole does not hang."""
        seen = {batcher: batcher.busy_since for batcher in tuple(self._computing)}
        before, self._batches = self._batches, {}
        for batcher, since in seen.items():
            if since:
                known, seconds = before.get(batcher, (0.0, 0.0))
                self._batches[batcher] = since, seconds + LOOK_S if known == since else 0.0
        hung = {
            b.manifest.name: self._why(b) for b, (_, s) in self._batches.items() if s >= self._at_most_s
        }
        for name in hung.keys() - self._hung.keys():
            logger.critical("not live: model %s %s", name, hung[name])
        for name in self._hung.keys() - hung.keys():
            logger.warning("live again: model %s has ended its batch", name)
        self._hung = hung
        self._tell(hung)
        if any(seconds >= self._ends_after_s for _, seconds in self._batches.values()):
            logger.critical(
                "the process ends, to be started again; `python -m service models rollback %s` goes back",
                next(iter(hung)),
            )
            self._end(EXIT_CODE)

    def _why(self, batcher: Batcher) -> str:
        return f"version {batcher.manifest.version} has not ended a batch in {self._at_most_s:g} s"

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_S):
            self.look()
