"""The application's metrics, handed to Ray's agent: each replica's, beside Ray's own figures."""

import asyncio
from typing import Any

from prometheus_client.samples import Sample
from ray.serve.metrics import Counter, Gauge

from service.serving.metrics import Metrics

EVERY_S = 5.0  # Ray's agent has them as often, by default
COUNTED = ("_total", "_bucket", "_count", "_sum")


class Figures:
    """Counters and histograms by what they grew, gauges as they are.

    A histogram's buckets are counters with a label `le`, as Prometheus has them: Ray's own histogram takes
    single observations, one call each.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._shown: dict[str, Any] = {}
        self._counted: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self._set: set[tuple[str, frozenset[tuple[str, str]]]] = set()

    async def keep_up(self) -> None:
        """Until it is cancelled."""
        while True:
            self.hand_over()
            await asyncio.sleep(EVERY_S)

    def hand_over(self) -> None:
        gauges = set()
        for sample in self._metrics.samples():
            if sample.name.endswith("_created"):
                continue
            series = sample.name, frozenset(sample.labels.items())
            if sample.name.endswith(COUNTED):
                grown = sample.value - self._counted.get(series, 0)
                if grown > 0:
                    self._of(sample, Counter).inc(grown, sample.labels)
                self._counted[series] = sample.value
            else:
                self._of(sample, Gauge).set(sample.value, sample.labels)
                gauges.add(series)
        for name, labels in self._set - gauges:
            self._shown[name].set(0, dict(labels))  # of what is live no longer: Ray forgets no series
        self._set = gauges

    def _of(self, sample: Sample, kind: Any) -> Any:
        if sample.name not in self._shown:
            description = f"{sample.name}, as /metrics of the service has it."
            self._shown[sample.name] = kind(sample.name, description, tuple(sample.labels))
        return self._shown[sample.name]
