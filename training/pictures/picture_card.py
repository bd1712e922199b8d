"""The model card of a picture classifier, in the form of Mitchell et al. (2019), Model Cards."""

from collections.abc import Sequence

from service.artifacts.manifest import Metric, TrainingRecord
from training.evaluation.evaluate import Evaluation
from training.pictures.picture_data import PictureData
from training.pictures.picture_recipe import SIZE

MOST_LISTED = 100  # classes


def picture_card(
    name: str, record: TrainingRecord, metrics: Sequence[Metric], data: PictureData, test: Evaluation
) -> str:
    """Markdown; its pictures lie beside it."""
    settings = "\n".join(f"| {key} | {value} |" for key, value in record.hyperparameters.items())
    figures = "\n".join(f"| {m.name} | {m.value:.4f} | {m.split}, {m.n:,} |" for m in metrics)
    return f"""# {name}: pictures of {len(data.labels):,} classes, recipe `{record.recipe}`

## Model details

Pictures, their middle brought to {SIZE}×{SIZE} pixels in colour → probabilities of the classes. Trained
with seed {record.seed} on {record.device} in {record.seconds:,.0f} s with torch {record.torch_version},
at commit `{record.git_commit}`. A convolutional net of three blocks behind a layer that whitens, after
K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024), trained by Muon. Weights are
stored as int8 with a scale for each output channel, and computed with as float32.

| hyper-parameter | value |
| --- | --- |
{settings}

## Intended use

Pictures like those that it was trained on, each with one thing of one of the classes on it. Not for what
belongs to none of them: it is called one of them all the same. Not for decisions in which a mistake harms
somebody and nobody checks.

## Factors

What is on a picture, and how it came to be one: light, distance, what stands behind, compression.

## Metrics

Accuracy; negative log-likelihood; expected calibration error over 15 bins of equal mass (Guo et al. 2017).

## Training and evaluation data

{len(data.train.inputs):,} pictures to train on, {len(data.validation.inputs):,} to choose the epoch and the
temperature with, {len(data.test.inputs):,} to test on, once. {len(data.skipped):,} files were left out.
Digest of all pixels and labels: `{record.data_sha256}`.

## Quantitative analyses

| figure | value | on |
| --- | --- | --- |
{figures}

{_by_class(data, test)}

![Loss and accuracy](curves.png)
![Confusion matrix](confusion.png)
![The surest mistakes](mistakes.png)
![Confidence and accuracy](reliability.png)

## Ethical considerations

Pictures may show people. The service keeps no picture and logs none.

## Caveats and recommendations

A figure is true of pictures like those tested on: of another camera, or another compression, it may be
lower. Look at `confidence` before believing `label`.
"""


def _by_class(data: PictureData, test: Evaluation) -> str:
    right, lines = (
        (test.predicted == test.labels).double(),
        ["| class | right | of |", "| --- | --- | --- |"],
    )
    for place, label in enumerate(data.labels[:MOST_LISTED]):
        of_class = right[test.labels == place]
        name = label.replace("|", r"\|")
        lines.append(f"| {name} | {of_class.mean().item():.1%} | {len(of_class):,} |")
    return "\n".join(lines)
