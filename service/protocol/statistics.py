"""Triton's statistics of models, from the figures that `/metrics` shows: of all workers together."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client.samples import Sample

from service.serving.exposition import model_of
from service.serving.metrics import Metrics
from service.serving.registry import Registry

# What Triton calls the stages of a request.
_STAGES = {"queue": "queue", "compute_input": "decode", "compute_infer": "infer"}
_NS = 1_000_000_000

Figures = Mapping[str, float]


def statistics(
    metrics: Metrics, registry: Registry, name: str | None, version: str | None
) -> dict[str, Any]:
    """Of one version, of those of a model, or of all that are loaded."""
    figures = _figures(metrics.samples())
    live = {(manifest.name, manifest.version) for manifest in registry.manifests()}
    of_versions = []
    for manifest in sorted(registry.loaded(), key=lambda m: (m.name, m.version)):
        if name in (None, manifest.name) and version in (None, str(manifest.version)):
            # A request that was not served names no version: it was the live one's.
            is_live = (manifest.name, manifest.version) in live
            failed = figures[manifest.name, ""]["rejections_total"] if is_live else 0
            of_version = figures[manifest.name, str(manifest.version)]
            of_versions.append(
                {
                    "name": manifest.name,
                    "version": str(manifest.version),
                    "last_inference": int(1_000 * of_version["last_batch_timestamp_seconds"]),
                    "inference_count": int(of_version["batch_rows_sum"]),
                    "execution_count": int(of_version["batch_rows_count"]),
                    "inference_stats": _stages(of_version, int(failed)),
                    "batch_stats": [],  # stages are not timed by the size of a batch
                }
            )
    return {"model_stats": of_versions}


def _stages(figures: Figures, failed: int) -> dict[str, Any]:
    """How often, and nanoseconds in all."""
    count = int(figures["predictions_total"])
    stages = {ours: int(_NS * figures[f"{ours}_stage_duration_seconds_sum"]) for ours in _STAGES.values()}
    return {
        "success": {"count": count, "ns": sum(stages.values())},
        "fail": {"count": failed, "ns": 0},
        **{name: {"count": count, "ns": stages[ours]} for name, ours in _STAGES.items()},
        "compute_output": {"count": count, "ns": 0},
    }


def _figures(samples: Iterable[Sample]) -> dict[tuple[str, str], Figures]:
    """By model and version; the version is "" for what is known of a model alone."""
    figures: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for sample in samples:
        labels = sample.labels
        model = labels.get("model") or model_of(labels.get("route", ""))
        if model and "le" not in labels:
            key = sample.name.removeprefix("abacus_")
            key = f"{labels['stage']}_{key}" if "stage" in labels else key
            figures[model, labels.get("version", "")][key] += sample.value
    return figures  # type: ignore[return-value]
