"""New versions, taken up while serving: loaded beside the live one, off the event loop, then swapped in.

The `current` files are looked at, not watched: notifications do not cross network file systems and many
container mounts, and a look costs microseconds.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any

from service.errors import NotReady
from service.rollout.finding import Finder
from service.rollout.following import Follower, Loads
from service.rollout.placing import Placing
from service.rollout.unloaded import Unloaded
from service.serving.loading import Loader
from service.serving.metrics import Metrics
from service.serving.registry import Registry

# How long a stop waits for models that are being loaded or are answering nobody any longer.
CLOSE_S = 5.0
WAIT_LOOK_S = 0.02

# At most so long a start waits for every model to be live or refused; then it serves those that are.
START_S = 30.0


class Reloader:
    """Keeps the registry at the versions that the store calls live."""

    def __init__(
        self,
        registry: Registry,
        loader: Loader,
        placing: Placing,
        metrics: Metrics,
        load_timeout_s: float,
        keep: int,
        only: Collection[str],
        unloaded: Unloaded | None,
    ) -> None:
        """`only`: the names to follow; none: all. `unloaded`: those that no worker serves."""
        self._registry = registry
        self._loader = loader
        self._placing = placing
        self._unloaded = unloaded
        self._keep = keep
        self._metrics = metrics
        self._loads = Loads(load_timeout_s)
        self._finder = Finder(registry, loader.store, only, self._come, self._gone)
        self._following: set[asyncio.Task[None]] = set()
        self._followers: dict[str, Follower] = {}
        self._every_s = 0.0

    async def start(self, every_s: float) -> None:
        """Follow the store for every model. Returns when each is live or refused, or its time is over."""
        self._every_s = every_s
        self._follow(self._finder.follow(every_s))
        await _until(lambda: self._finder.looked.is_set() and self._all_tried(), START_S)

    def _all_tried(self) -> bool:
        return all(follower.tried.is_set() for follower in self._followers.values())

    async def close(self) -> bool:
        """Answer what is waiting, and free every thread. False: there are some that do not end."""
        for task in self._following:
            task.cancel()
        self._finder.close()
        for follower in self._followers.values():
            follower.close()
        placing, loads = self._placing, self._loads
        placing.retire(*self._registry.all_served())
        await _until(lambda: not (placing.computing or loads.underway - loads.overdue), CLOSE_S)
        placing.close()
        return not (placing.computing or loads.underway)

    def _come(self, name: str) -> None:
        self._registry.find(name)
        if self._unloaded and name in self._unloaded:
            self._registry.unload(name)
            return
        follower = Follower(
            name, self._registry, self._loader, self._placing, self._metrics, self._loads, self._keep
        )
        self._followers[name] = follower
        self._follow(follower.follow(self._every_s))

    def _gone(self, name: str) -> None:
        if follower := self._followers.pop(name, None):  # there is none of what is unloaded
            follower.leave()
        self._placing.retire(*self._registry.lose(name))
        if self._unloaded:
            with suppress(OSError):
                self._unloaded.discard(name)

    async def unload(self, name: str) -> None:
        """Follow it no longer, and serve it no longer. Raises UnknownModel or NotReady."""
        self._registry.live(name)
        self._finder.followed.add(name)  # it may be waiting for a thread, and is not to be found anew
        if follower := self._followers.pop(name, None):
            follower.leave()
        self._placing.retire(*self._registry.unload(name))

    async def load(self, name: str) -> None:
        """Follow it again until it is live. Raises UnknownModel, or NotReady, which says why not."""
        self._registry.live(name)
        if name not in self._followers and name in self._finder.followed:
            try:
                self._come(name)
            except RuntimeError as error:  # the system allows no further thread
                self._finder.followed.discard(name)  # who finds it again tries again
                raise NotReady(f"Model {name!r} cannot be followed yet: {error}.") from error
        if follower := self._followers.get(name):
            while not follower.tried.is_set() and self._followers.get(name) is follower:
                await asyncio.sleep(WAIT_LOOK_S)
        if why := self._registry.refused(name):
            raise NotReady(f"Model {name!r} is not loaded: {why}.")

    def _follow(self, following: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(following)
        self._following.add(task)
        task.add_done_callback(self._following.discard)


async def _until(condition: Callable[[], bool], at_most_s: float) -> None:
    ends_at = time.monotonic() + at_most_s
    while not condition() and time.monotonic() < ends_at:
        await asyncio.sleep(WAIT_LOOK_S)
