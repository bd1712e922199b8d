"""New versions, taken up while serving: loaded beside the live one, off the event loop, then swapped in.

The `current` files are looked at, not watched: notifications do not cross network file systems and many
container mounts, and a look costs microseconds.
"""

import asyncio
import time
from collections.abc import Callable

from service.engine.predictor import Predictor
from service.serving.batching import Batcher
from service.serving.following import Follower, Loads
from service.serving.metrics import Metrics
from service.serving.registry import Registry

# How long a stop waits for models that are being loaded or are answering nobody any longer.
CLOSE_S = 5.0
WAIT_LOOK_S = 0.02

# At most so long a start waits for every model to be live or refused; then it serves those that are.
START_S = 30.0


class Reloader:
    """Keeps `batchers` and the registry at the versions that the store calls live."""

    def __init__(
        self,
        registry: Registry,
        make_batcher: Callable[[Predictor], Batcher],
        metrics: Metrics,
        load_timeout_s: float,
    ) -> None:
        self.batchers: dict[str, Batcher] = {}
        self.computing: set[Batcher] = set()  # and those that are replaced, until they have answered
        self._registry = registry
        self._make_batcher = make_batcher
        self._metrics = metrics
        self._loads = Loads(load_timeout_s)
        self._following: list[asyncio.Task[None]] = []
        self._followers: list[Follower] = []
        self._retiring: set[asyncio.Task[None]] = set()

    async def start(self, every_s: float) -> None:
        """Follow the store for every model. Returns when each is live or refused, or its time is over."""
        for name in self._registry.names:
            follower = Follower(name, self._registry, self._take_up, self._metrics, self._loads)
            self._followers.append(follower)
            self._following.append(asyncio.create_task(follower.follow(every_s)))
        await _until(lambda: all(f.tried.is_set() for f in self._followers), START_S)

    async def close(self) -> bool:
        """Answer what is waiting, and free every thread. False: there are some that do not end."""
        for task in self._following:
            task.cancel()
        for follower in self._followers:
            follower.close()
        for batcher in self.batchers.values():
            self._retire(batcher)
        loads = self._loads
        await _until(lambda: not (self.computing or loads.underway - loads.overdue), CLOSE_S)
        for task in self._retiring:
            task.cancel()
        return not (self.computing or loads.underway)

    def _take_up(self, predictor: Predictor) -> None:
        """Nothing is awaited here: a request sees either the old version or the new one."""
        name = predictor.manifest.name
        replaced = self.batchers.get(name)
        self.batchers[name] = self._make_batcher(predictor)
        self.computing.add(self.batchers[name])
        self._registry.adopt(predictor)
        self._metrics.reloads(name, "loaded").inc()
        if replaced:
            self._retire(replaced)

    def _retire(self, batcher: Batcher) -> None:
        retiring = asyncio.create_task(self._end(batcher))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _end(self, batcher: Batcher) -> None:
        await batcher.drained()
        batcher.close()
        while not batcher.ended:
            await asyncio.sleep(WAIT_LOOK_S)
        self.computing.discard(batcher)


async def _until(condition: Callable[[], bool], at_most_s: float) -> None:
    ends_at = time.monotonic() + at_most_s
    while not condition() and time.monotonic() < ends_at:
        await asyncio.sleep(WAIT_LOOK_S)
