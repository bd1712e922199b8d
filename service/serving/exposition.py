"""What of the figures is shown: those of the models that there are, and of the versions that are loaded."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from service.artifacts.manifest import Manifest

# Of one model each, whose name stands in it.
ROUTE, PROTOCOL_ROUTE = "/predict/{}", "/v2/models/{}/infer"
RPC_ROUTE = "/inference.GRPCInferenceService/ModelInfer/{}"
ROUTES = (ROUTE, PROTOCOL_ROUTE, RPC_ROUTE)
_NAMED = re.compile("|".join(route.replace("{}", "([^/{]+)") for route in ROUTES))


def model_of(route: str) -> str | None:
    """Which model's route it is, or None."""
    named = _NAMED.fullmatch(route)
    return named[named.lastindex or 0] if named else None


class Models(Protocol):
    """Which models there are, what is live of them, and what is loaded: the registry, which brings torch.

    The process that watches over workers counts too, and never holds that.
    """

    @property
    def names(self) -> Iterable[str]: ...

    @property
    def missing(self) -> int: ...

    def manifests(self) -> Iterable[Manifest]: ...

    def loaded(self) -> Iterable[Manifest]: ...


class Shown(Collector):
    """What is counted of the models that there are, and of the versions of them that are loaded."""

    def __init__(self, registry: Collector, models: Models) -> None:
        self._registry = registry
        self._versions = {(manifest.name, str(manifest.version)) for manifest in models.loaded()}
        self._names = set(models.names)

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if self._shows(sample.labels)]
            yield metric

    def _shows(self, labels: Mapping[str, str]) -> bool:
        name = labels.get("model") or model_of(labels.get("route", ""))
        if name is None:
            return True
        version = labels.get("version")
        return name in self._names and (version is None or (name, version) in self._versions)


class LiveVersions(Collector):
    """Read when asked for, so that a version that was swapped out is gone at once."""

    def __init__(self, models: Callable[[], Models | None]) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        info = InfoMetricFamily("abacus_model", "The live version of a model.", labels=("model",))
        models = self._models()
        live = list(models.manifests()) if models else []
        missing = models.missing if models else 0
        yield GaugeMetricFamily("abacus_models_missing", "Models that are not served.", value=missing)
        for manifest in live:
            version = {"version": str(manifest.version), "sha256": manifest.sha256}
            info.add_metric((manifest.name,), version)
        yield info
