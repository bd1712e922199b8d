"""The evaluation of a published digit model: what it found becomes figures, a model card and pictures."""

from pathlib import Path

import torch

from service.artifacts.manifest import ArtifactError, Manifest, Metric
from service.artifacts.store import ArtifactStore
from service.engine.loading import load
from training.digits.digit_card import model_card
from training.digits.mnist import load_mnist
from training.digits.robustness import Robustness, examine
from training.digits.robustness_report import examples_figure, matrix_figure
from training.evaluation.figures import png
from training.fitting.fit import batched


def evaluate_digit(
    store: ArtifactStore, version: int, data: Path, digits_per_cell: int
) -> tuple[Manifest, Robustness, dict[str, bytes]]:
    """Examine a published version.

    Returns its manifest with the figures added, what was found, and the files of the report.
    Raises ArtifactError or DataUnavailable.
    """
    predictor = load(store.folder("digit", version), torch.device("cpu"))
    manifest = predictor.manifest
    if manifest.output.score is None:
        raise ArtifactError(f"digit/{version} gives no score: it was made by an older recipe")
    test = load_mnist(data, train=False)
    found = examine(
        lambda images_u8: batched(predictor.predict, images_u8),
        test,
        digits_per_cell,
        manifest.output.score.threshold,
    )
    n_cells, n_digits = digits_per_cell * len(found.cells), found.other_digits_n
    n_others = found.non_digits_per_kind * len(found.flagged)
    added = (
        Metric(name="accuracy-mean", value=found.mean, split="drawn", n=n_cells),
        Metric(name="accuracy-worst-cell", value=found.worst, split="drawn", n=digits_per_cell),
        Metric(name="accuracy-everything-at-once", value=found.anything, split="drawn", n=digits_per_cell),
        *_of_sources(found),
        Metric(name="non-digits-flagged", value=found.mean_flagged, split="drawn", n=n_others),
        Metric(name="non-digits-auroc", value=found.auroc, split="drawn", n=n_others),
        Metric(name="accuracy", value=next(iter(found.other_digits.values())), split="other", n=n_digits),
        Metric(name="called-no-digit", value=found.other_digits_flagged, split="other", n=n_digits),
    )
    kept = tuple(m for m in manifest.metrics if m.split not in ("drawn", "other"))
    manifest = manifest.model_copy(update={"metrics": kept + added})
    of = f"digit by {manifest.record.recipe}"
    files = {
        "report/report.md": model_card(manifest.record, manifest.metrics, found).encode(),
        "report/robustness.png": png(matrix_figure(found, of)),
        "report/examples.png": png(examples_figure(found, of)),
    }
    return manifest, found, files


def _of_sources(found: Robustness) -> tuple[Metric, ...]:
    """Of digits as they come from elsewhere: all together, and the worst source."""
    right, flagged = zip(*found.sources.values(), strict=True)
    each = found.digits_per_source
    n = each * len(right)
    return (
        Metric(name="accuracy-sources", value=sum(right) / len(right), split="drawn", n=n),
        Metric(name="accuracy-worst-source", value=min(right), split="drawn", n=each),
        Metric(name="called-no-digit-sources", value=sum(flagged) / len(flagged), split="drawn", n=n),
    )
