"""From versions that are ready to what answers for them: live, beside it, as the canary, or no longer."""

import asyncio
import logging
import time

from service.artifacts.fitness import exchangeable
from service.artifacts.look import Look
from service.artifacts.manifest import ArtifactError
from service.artifacts.pointers import CANARY
from service.serving.admission import Admission, queue_rows
from service.serving.batching import Batcher
from service.serving.loading import Ready
from service.serving.metrics import Metrics
from service.serving.registry import Registry
from service.serving.served import Canary, ModelState, Served

logger = logging.getLogger(__name__)

DRAIN_LOOK_S, END_LOOK_S = 0.05, 0.02  # between looks whether what is replaced has answered, and has ended


class Placing:
    """Puts versions in their places. Nothing is awaited: a request sees what was there, or what is."""

    def __init__(
        self, registry: Registry, metrics: Metrics, max_queued_batches: int, canary_share: float
    ) -> None:
        self.computing: set[Batcher] = set()  # also of what is replaced, until it has answered
        self._registry = registry
        self._metrics = metrics
        self._max_queued_batches = max_queued_batches
        self._canary_share = canary_share
        self._permits: dict[str, Admission] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    def take_up(self, ready: Ready) -> None:
        """Make it the live version."""
        self.adopt(self._served(ready))

    def adopt(self, version: Served) -> None:
        """Likewise of one that is loaded already: as the canary, or as one that is kept."""
        replaced = self._registry.adopt(version)
        version.canary = None
        version.permits.limit = version.limit
        self._metrics.reloads(version.manifest.name, "loaded").inc()
        if replaced:
            self.retire(replaced)

    def take_beside(self, ready: Ready) -> None:
        """Have it answer those who ask for this version."""
        served = self._served(ready)
        manifest = served.manifest
        if replaced := self._registry.state(manifest.name).load(served):
            self.retire(replaced)
        logger.info("model %s version %d loaded beside the live one", manifest.name, manifest.version)

    def settle(self, name: str, look: Look) -> None:
        """Let go what is not wanted any more; give the canary its share, if it is loaded and fits."""
        state = self._registry.state(name)
        unread = {label: why for label, why in look.labels.items() if isinstance(why, ArtifactError)}
        self.retire(*state.retain({*look.beside, *unread}))
        for label, why in unread.items():
            state.keep_out(label, why)
        version = state.labels.get(CANARY)
        if state.live:
            candidate = state.beside(version) if version and self._canary_share else None
            self._share(state, state.live, candidate)

    def retire(self, *replaced: Served) -> None:
        """Have them answer who has asked them, and end."""
        for served in replaced:
            retiring = asyncio.create_task(self._end(served))
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)

    def close(self) -> None:
        """Wait no longer for those that are to end."""
        for task in self._retiring:
            task.cancel()

    def _served(self, ready: Ready) -> Served:
        predictor, endpoint = ready
        manifest = predictor.manifest
        batch = min(endpoint.batch_rows, predictor.slow_rows or endpoint.batch_rows)
        limit = queue_rows(manifest, batch, endpoint.full_rows, self._max_queued_batches)
        permits = self._permits_of(manifest.name, limit, endpoint.full_rows)
        batch_rows = self._metrics.batch_rows(manifest.name, manifest.version)
        last_batch = self._metrics.last_batch(manifest.name, manifest.version)

        def on_batch(rows: int, seconds: float) -> None:
            batch_rows.observe(rows)
            last_batch.set(time.time())
            permits.measure(rows, seconds)

        batcher = Batcher(predictor, batch, on_batch)
        self.computing.add(batcher)
        return Served(predictor, batcher, endpoint, permits, limit)

    def _permits_of(self, name: str, limit: int, full_rows: int) -> Admission:
        """They outlive versions: what is under way with an older one counts."""
        if name not in self._permits:
            on_change = self._metrics.queued(name, full_rows)
            self._permits[name] = Admission(limit, f"rows of {name!r}", on_change)
        return self._permits[name]

    def _share(self, state: ModelState, live: Served, candidate: Served | None) -> None:
        fits = candidate and exchangeable(live.manifest, candidate.manifest)
        unfit = None if fits else candidate
        for version, served in state.loaded.items():
            if served is unfit:
                wrong = "gets no share, for it is asked or answers otherwise than the live version"
                state.keep_out(version, ArtifactError(f"{state.name}/{version} {wrong}"))
            else:  # it may have been so
                state.kept_out.pop(version, None)
        if candidate is None or unfit:
            live.canary = None
        elif live.canary is None or live.canary.served is not candidate:
            manifest = candidate.manifest
            count = self._metrics.canary_fallbacks(manifest.name, manifest.version).inc
            live.canary = Canary(candidate, self._canary_share, count)

    async def _end(self, served: Served) -> None:
        """Close it once nobody may ask it any more: whoever has resolved it may still be sending."""
        batcher = served.batcher
        while not served.idle:
            await asyncio.sleep(DRAIN_LOOK_S)
        batcher.close()
        while not batcher.ended:
            await asyncio.sleep(END_LOOK_S)
        self.computing.discard(batcher)
        self._forget(served.manifest.name, served.manifest.version)

    def _forget(self, name: str, version: int) -> None:
        """What was counted of what is gone. Not before: the last answers are counted too."""
        if name not in self._registry.names:
            self._permits.pop(name, None)
            self._metrics.forget(name)
        elif version not in self._registry.state(name).loaded:
            self._metrics.forget(name, version)
