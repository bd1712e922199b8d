"""What Prometheus reads: counters and histograms of this process, or of all workers together.

With several workers every one keeps its figures in files of its own in one folder, which `processes` makes
and names in PROMETHEUS_MULTIPROC_DIR; whichever worker is asked adds them up.
"""

import asyncio
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import _lru_cache_wrapper, cache
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.samples import Sample

from service.serving.exposition import ROUTES, LiveVersions, Models, Shown

SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
T = TypeVar("T")
M = TypeVar("M", bound=MetricWrapperBase)

# A file vanishes, or is half written, for a moment while a worker starts or takes over another's.
READ_TRIES = 100

ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 1_024, 10_000)


class BurstHistogram(Histogram):
    """Adds up what is observed until the event loop turns, as requests are answered in bursts.

    A quarter of the time of an observation, each of which takes two locks otherwise; and none of it before
    the answers are on their way. On any thread but the loop's an observation is added at once.
    """

    def _metric_init(self) -> None:
        super()._metric_init()
        self._burst: list[float] = []

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        if asyncio._get_running_loop() is None:
            super().observe(amount, exemplar)
        else:
            self.observe_all((amount,))

    def observe_all(self, amounts: Iterable[float]) -> None:
        """Observe all of them, on the event loop."""
        if not self._burst:
            asyncio.get_running_loop().call_soon(self._add_up)
        self._burst += amounts

    def _add_up(self) -> None:
        burst = self._burst
        self._burst = []
        self._sum.inc(sum(burst))
        buckets = [bisect_left(self._upper_bounds, amount) for amount in burst]
        for bucket in set(buckets):
            self._buckets[bucket].inc(buckets.count(bucket))

    def _child_samples(self) -> Iterable[Sample]:
        self._add_up()
        return super()._child_samples()


class BurstGauge(Gauge):
    """Likewise: what it was last set to counts."""

    _latest: float | None = None

    def set(self, value: float) -> None:
        if self._latest is None:
            loop = asyncio._get_running_loop()
            if loop is None:
                super().set(value)
                return
            loop.call_soon(self._settle)
        self._latest = value

    def _settle(self) -> None:
        if self._latest is not None:
            super().set(self._latest)
            self._latest = None

    def _child_samples(self) -> Iterable[Sample]:
        self._settle()
        return super()._child_samples()


class Metrics:
    """One set of metrics of one application; `folder` is where several workers share theirs.

    Each is called with the values of its labels, in order: `metrics.rejections(route, reason).inc()`.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._own = CollectorRegistry()
        self._counted_in = None if folder else self._own
        self._models: Models | None = None
        self._labelled: list[tuple[frozenset[str], MetricWrapperBase, _lru_cache_wrapper[Any]]] = []
        self.requests = self._of(
            Counter, "abacus_requests", "Requests answered.", ("method", "route", "status")
        )
        self.seconds = self._of(
            BurstHistogram,
            "abacus_request_duration_seconds",
            "From a request's headers to the end of its answer.",
            ("route",),
            buckets=SECONDS,
        )
        self.stages = self._of(
            BurstHistogram,
            "abacus_stage_duration_seconds",
            "Parts of a prediction: decode, queue, infer.",
            ("model", "version", "stage"),
            buckets=SECONDS,
        )
        self.batch_rows = self._of(
            BurstHistogram, "abacus_batch_rows", "Rows of a batch.", ("model", "version"), buckets=ROWS
        )
        self.last_batch = self._of(
            BurstGauge,
            "abacus_last_batch_timestamp_seconds",
            "When a version of a model last computed a batch.",
            ("model", "version"),
            multiprocess_mode="max",
        )
        self.queue_rows = self._of(
            BurstGauge,
            "abacus_queue_rows",
            "Rows admitted and not yet answered.",
            ("model",),
            multiprocess_mode="livesum",
        )
        self.queue_batches = self._of(
            BurstGauge,
            "abacus_queue_batches",
            "Full batches admitted and not yet answered.",
            ("model",),
            multiprocess_mode="livesum",
        )
        self.predictions = self._of(
            Counter,
            "abacus_predictions",
            "Requests answered by a version of a model.",
            ("model", "version"),
        )
        self.canary_fallbacks = self._of(
            Counter,
            "abacus_canary_fallbacks",
            "Requests that the live version answered because the canary could not.",
            ("model", "version"),
        )
        self.rejections = self._of(
            Counter, "abacus_rejections", "Requests not served, by reason.", ("route", "reason")
        )
        self.reloads = self._of(
            Counter,
            "abacus_reloads",
            "Versions that became live or were refused, at the start too.",
            ("model", "outcome"),
        )
        self.api_keys_read_failures = Counter(
            "abacus_api_keys_read_failures",
            "Looks at the file of API keys that failed; the last good keys stay.",
            registry=self._counted_in,
        )
        worker_restarts(self._counted_in)
        self._live_versions = LiveVersions(lambda: self._models)
        self._own.register(self._live_versions)

    def _of(
        self, kind: type[M], name: str, told: str, labels: tuple[str, ...], **options: Any
    ) -> Callable[..., M]:
        """A metric, by the values of its labels.

        One lookup in a dictionary a time, where its own takes a lock and makes strings of its arguments.
        """
        metric = kind(name, told, labels, registry=self._counted_in, **options)
        by_values = cache(metric.labels)
        self._labelled.append((frozenset(labels), metric, by_values))
        return by_values

    def queued(self, name: str, full_rows: int) -> Callable[[float], None]:
        """Takes how many rows of a model are under way, of which `full_rows` are a full batch."""
        rows, batches = self.queue_rows(name), self.queue_batches(name)

        def note(taken: float) -> None:
            rows.set(taken)
            batches.set(taken / full_rows)

        return note

    def show(self, models: Models) -> None:
        """Name what is live, as `abacus_model_info`; and show figures of what there is alone."""
        self._models = models

    def forget(self, name: str, version: int | None = None) -> None:
        """Free what was counted of a model, or of one version of it.

        Shared files keep it: there it is only shown no longer.
        """
        if self._folder:
            return
        gone = [{"model": name, "version": str(version)}]
        if version is None:
            gone = [{"model": name}, *({"route": route.format(name)} for route in ROUTES)]
        for labels, metric, by_values in self._labelled:
            for named in gone:
                if named.keys() <= labels:
                    metric.remove_by_labels(named)
            by_values.cache_clear()

    def samples(self) -> list[Sample]:
        """What is shown, one by one."""
        return self.of_all_workers(
            lambda shown: [sample for metric in shown.collect() for sample in metric.samples]
        )

    def of_all_workers(self, read: Callable[[Any], T]) -> T:
        """What is `read` of all that is shown."""
        registry = self._own
        if self._folder:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, self._folder)  # type: ignore[no-untyped-call]
            registry.register(self._live_versions)
        shown = Shown(registry, self._models) if self._models else registry
        for _ in range(READ_TRIES):
            with suppress(FileNotFoundError, struct.error):
                return read(shown)
        return read(shown)


def worker_restarts(registry: CollectorRegistry | None) -> Counter:
    """Counted by the process that watches over workers; shown, with the rest, by any of them."""
    return Counter(
        "abacus_worker_restarts", "Workers that ended unasked or were killed.", registry=registry
    )
