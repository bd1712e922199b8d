"""New versions, taken up while serving: loaded beside the live one, off the event loop, then swapped in.

The `current` files are looked at, not watched: notifications do not cross network file systems and many
container mounts, and a look costs microseconds.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from service.batching import Batcher
from service.metrics import Metrics
from service.predictor import Predictor
from service.registry import Registry


class Reloader:
    """Keeps `batchers` and the registry at the versions that the store calls live."""

    def __init__(
        self, registry: Registry, make_batcher: Callable[[Predictor], Batcher], metrics: Metrics
    ) -> None:
        self.batchers: dict[str, Batcher] = {}
        self._registry = registry
        self._make_batcher = make_batcher
        self._metrics = metrics
        self._seen: dict[str, tuple[int, int] | None] = {}
        # One thread for all loads: a new one each time would have torch keep memory for each.
        self._thread = ThreadPoolExecutor(1, "reload")
        self._retiring: set[asyncio.Task[None]] = set()

    async def look(self) -> None:
        """Take up every version that became live since the last look. One that is refused is tried once."""
        for name in self._registry.names:
            pointer = self._registry.store.pointer(name)
            if name in self._seen and self._seen[name] == pointer:
                continue
            self._seen[name] = pointer
            await self._take_up(name)

    async def keep_looking(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            await self.look()

    async def close(self) -> None:
        """Answer what is waiting, and free every thread."""
        for batcher in self.batchers.values():
            await batcher.drained()
            batcher.close()
        await asyncio.gather(*self._retiring)
        self._thread.shutdown()

    async def _take_up(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        loading = loop.run_in_executor(self._thread, self._registry.load_current, name)
        await asyncio.wait([loading])
        error = loading.exception()
        if error:  # whatever it was: a bad version may neither stop the service nor the looking
            self._registry.refuse(name, error)
            self._metrics.reloads(name, "refused").inc()
            return
        predictor = loading.result()
        # No await between these: a request sees either the old version or the new one.
        replaced = self.batchers.get(name)
        self.batchers[name] = self._make_batcher(predictor)
        self._registry.adopt(predictor)
        self._metrics.reloads(name, "loaded").inc()
        if replaced:
            retiring = asyncio.create_task(_retire(replaced))
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)


async def _retire(batcher: Batcher) -> None:
    await batcher.drained()
    batcher.close()
