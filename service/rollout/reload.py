"""New versions, taken up while serving: loaded beside the live one, off the event loop, then swapped in.

The `current` files are looked at, not watched: notifications do not cross network file systems and many
container mounts, and a look costs microseconds.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any

from service.artifacts.fitness import exchangeable
from service.artifacts.look import Look
from service.artifacts.manifest import ArtifactError, Manifest
from service.artifacts.pointers import CANARY
from service.errors import NotReady
from service.rollout.finding import Finder
from service.rollout.following import Follower, Loads
from service.rollout.unloaded import Unloaded
from service.serving.batching import Batcher
from service.serving.loading import Loader, Ready
from service.serving.metrics import Metrics
from service.serving.registry import Registry
from service.serving.served import Canary, Served

logger = logging.getLogger(__name__)

# How long a stop waits for models that are being loaded or are answering nobody any longer.
CLOSE_S = 5.0
WAIT_LOOK_S, DRAIN_LOOK_S = 0.02, 0.05

# At most so long a start waits for every model to be live or refused; then it serves those that are.
START_S = 30.0


class Reloader:
    """Keeps the registry at the versions that the store calls live."""

    def __init__(
        self,
        registry: Registry,
        loader: Loader,
        make_served: Callable[[Ready], Served],
        metrics: Metrics,
        load_timeout_s: float,
        keep: int,
        canary_share: float,
        only: Collection[str],
        forget: Callable[[str, int | None], None],
        unloaded: Unloaded | None,
    ) -> None:
        """`only`: the names to follow; none: all. `unloaded`: those that other workers do not serve either.

        `forget` is told which models there are no longer, and which versions are loaded no longer.
        """
        self.computing: set[Batcher] = set()  # also of what is replaced, until it has answered
        self._registry = registry
        self._loader = loader
        self._make_served = make_served
        self._forget = forget
        self._unloaded = unloaded
        self._keep = keep
        self._canary_share = canary_share
        self._metrics = metrics
        self._loads = Loads(load_timeout_s)
        self._finder = Finder(registry, loader.store, only, self._come, self._gone)
        self._following: set[asyncio.Task[None]] = set()
        self._followers: dict[str, Follower] = {}
        self._every_s = 0.0
        self._retiring: set[asyncio.Task[None]] = set()

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
        self._retire(*self._registry.all_served())
        loads = self._loads
        await _until(lambda: not (self.computing or loads.underway - loads.overdue), CLOSE_S)
        for task in self._retiring:
            task.cancel()
        return not (self.computing or loads.underway)

    def _come(self, name: str) -> None:
        self._registry.find(name)
        if self._unloaded and name in self._unloaded:
            self._registry.unload(name)
            return
        follower = Follower(
            name, self._registry, self._loader, self, self._metrics, self._loads, self._keep
        )
        self._followers[name] = follower
        self._follow(follower.follow(self._every_s))

    def _gone(self, name: str) -> None:
        if follower := self._followers.pop(name, None):  # there is none of what is unloaded
            follower.leave()
        self._retire(*self._registry.lose(name))
        if self._unloaded:
            with suppress(OSError):
                self._unloaded.discard(name)

    async def unload(self, name: str) -> None:
        """Follow it no longer, and serve it no longer. Raises UnknownModel or NotReady."""
        self._registry.live(name)
        if follower := self._followers.pop(name, None):
            follower.leave()
        self._retire(*self._registry.unload(name))

    async def load(self, name: str) -> None:
        """Follow it again until it is live. Raises UnknownModel, or NotReady, which says why not."""
        self._registry.live(name)
        if name not in self._followers and name in self._finder.followed:
            self._come(name)
        if follower := self._followers.get(name):
            while not follower.tried.is_set() and self._followers.get(name) is follower:
                await asyncio.sleep(WAIT_LOOK_S)
        if why := self._registry.refused(name):
            raise NotReady(f"Model {name!r} is not loaded: {why}.")

    def _follow(self, following: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(following)
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    def take_up(self, ready: Ready) -> None:
        """Nothing is awaited here: a request sees either the old version or the new one."""
        served = self._make_served(ready)
        self.computing.add(served.batcher)
        self._adopt(served)

    def promote(self, version: Served) -> None:
        """It is loaded already: as the canary, or as one that is kept."""
        self._adopt(version)

    def take_beside(self, ready: Ready) -> None:
        served = self._make_served(ready)
        self.computing.add(served.batcher)
        if replaced := self._registry.load_beside(served):
            self._retire(replaced)
        manifest = served.manifest
        logger.info("model %s version %d loaded beside the live one", manifest.name, manifest.version)

    def settle(self, name: str, look: Look) -> None:
        """What is wanted no longer is let go; the canary gets its share, if it is loaded and fits."""
        self._retire(*self._registry.retain(name, look.beside))
        live = self._registry.live(name)
        version = self._registry.labels(name).get(CANARY)
        if live:
            candidate = self._registry.beside(name, version) if version and self._canary_share else None
            self._share(live, candidate)

    def _share(self, live: Served, candidate: Served | None) -> None:
        if candidate and not exchangeable(live.manifest, candidate.manifest):
            name, version = candidate.manifest.name, candidate.manifest.version
            wrong = "gets no share, for it is asked or answers otherwise than the live version"
            self._registry.keep_out(name, version, ArtifactError(f"{name}/{version} {wrong}"))
            candidate = None
        if candidate is None:
            live.canary = None
        elif live.canary is None or live.canary.served is not candidate:
            live.canary = Canary(candidate, self._canary_share, self._on_failure(candidate.manifest))

    def _on_failure(self, manifest: Manifest) -> Callable[[Exception], None]:
        counter = self._metrics.canary_fallbacks(manifest.name, manifest.version)
        told: list[bool] = []

        def count(error: Exception) -> None:
            counter.inc()
            if not told:
                told.append(True)
                logger.error(
                    "the canary %s/%d fails; the live version answers instead, each time: %r",
                    *(manifest.name, manifest.version, error),
                )

        return count

    def _adopt(self, served: Served) -> None:
        replaced = self._registry.adopt(served)
        served.canary = None
        self._metrics.reloads(served.manifest.name, "loaded").inc()
        if replaced:
            self._retire(replaced)

    def _retire(self, *replaced: Served) -> None:
        for served in replaced:
            retiring = asyncio.create_task(self._end(served))
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)

    async def _end(self, served: Served) -> None:
        """Close it once nobody may ask it any more: whoever has resolved it may still be sending."""
        batcher = served.batcher
        while not served.idle:
            await asyncio.sleep(DRAIN_LOOK_S)
        batcher.close()
        while not batcher.ended:
            await asyncio.sleep(WAIT_LOOK_S)
        self.computing.discard(batcher)
        self._forget_what_is_gone(served.manifest.name, served.manifest.version)

    def _forget_what_is_gone(self, name: str, version: int) -> None:
        """Not before: the last answers are counted too."""
        loaded = {manifest.version for manifest in self._registry.loaded() if manifest.name == name}
        if name not in self._registry.names:
            self._forget(name, None)
        elif version not in loaded:
            self._forget(name, version)


async def _until(condition: Callable[[], bool], at_most_s: float) -> None:
    ends_at = time.monotonic() + at_most_s
    while not condition() and time.monotonic() < ends_at:
        await asyncio.sleep(WAIT_LOOK_S)
