"""From a version that is ready to what answers for it."""

import time

from service.serving.admission import Admission, queue_rows
from service.serving.batching import Batcher
from service.serving.loading import Ready
from service.serving.metrics import Metrics
from service.serving.served import Served


class Making:
    """Makes what is served of a version, with the permits of its model."""

    def __init__(self, max_queued_batches: int, metrics: Metrics) -> None:
        self._max_queued_batches = max_queued_batches
        self._metrics = metrics
        self._permits: dict[str, Admission] = {}

    def served(self, ready: Ready) -> Served:
        predictor, endpoint = ready
        manifest = predictor.manifest
        batch = min(endpoint.batch_rows, predictor.slow_rows or endpoint.batch_rows)
        full = endpoint.full_rows
        limit = queue_rows(manifest, batch, full, self._max_queued_batches)
        permits = self._permits_of(manifest.name, limit)
        batch_rows = self._metrics.batch_rows(manifest.name, manifest.version)
        last_batch = self._metrics.last_batch(manifest.name, manifest.version)

        def on_batch(rows: int, seconds: float) -> None:
            batch_rows.observe(rows)
            last_batch.set(time.time())
            permits.measure(rows, seconds)

        return Served(predictor, Batcher(predictor, batch, on_batch), endpoint, permits)

    def forget(self, name: str, version: int | None) -> None:
        """There is no such model any longer, or that version of it is not loaded."""
        if version is None:
            self._permits.pop(name, None)
        self._metrics.forget(name, version)

    def _permits_of(self, name: str, limit: int) -> Admission:
        """They outlive versions: what is under way with an older one counts."""
        if name not in self._permits:
            on_change = self._metrics.queue_rows(name).set
            self._permits[name] = Admission(limit, f"rows of {name!r}", on_change)
        self._permits[name].limit = limit
        return self._permits[name]
