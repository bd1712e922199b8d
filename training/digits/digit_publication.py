"""What is fitted after the weights of a digit net, its report, and its publication."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from rich.console import Console
from torch import Tensor

from service.artifacts.manifest import Manifest, Metric, TrainingRecord
from service.artifacts.signatures import SigningKey
from service.artifacts.store import ArtifactStore
from training.data import Rows
from training.digits import digit_nets as nets
from training.digits.detector import REJECTOR, digit_quantization, fit_rejector, fit_threshold, hands
from training.digits.digit_card import model_card
from training.digits.digit_recipe import IMAGES, PROBABILITIES, SCORE_THRESHOLD, SCORED, Recipe
from training.digits.mnist import load_mnist, split_validation
from training.evaluation.calibration import fit_temperature
from training.evaluation.evaluate import Evaluation, evaluate
from training.evaluation.figures import confusion_figure, mistakes_figure, png, reliability_figure
from training.fitting.fit import Hyperparameters
from training.publishing.activation import IF_AS_GOOD, Activation
from training.publishing.publish import Candidate, publish

PROOF_ROWS = 1_000


class Split(NamedTuple):
    """MNIST as a recipe uses it, and the SHA-256 of all its training images as they come.

    Of the rows to train on the first `own` are MNIST's, the others are added by the recipe.
    """

    train: Rows
    own: int
    validation: Rows
    test: Rows
    sha256: str

    @classmethod
    def load(cls, data: Path, recipe: Recipe, console: Console) -> "Split":
        """Raises DataUnavailable."""
        everything = load_mnist(data, train=True)
        train, validation = split_validation(everything)
        own, test = len(train.inputs), load_mnist(data, train=False)
        return cls(recipe.rows(train, console), own, validation, test, everything.sha256())


class Publication(NamedTuple):
    """Where to, and how."""

    store: ArtifactStore
    console: Console
    key: SigningKey | None = None
    activation: Activation = IF_AS_GOOD


def calibrate_and_publish(
    net: nets.DigitNet,
    recipe: Recipe,
    record: TrainingRecord,
    split: Split,
    curves: bytes,
    to: Publication,
    rejector: Hyperparameters = REJECTOR,
) -> Manifest:
    """Fit what is fitted after the weights, read the test images, publish."""
    calibrated = {"temperature": fit_temperature(net, split.validation)}
    validation: Sequence[Rows] = ()
    if isinstance(net, nets.RejectingDigitNet):
        validation = hands(split.validation)
        calibrated |= _rejecting(net, recipe, split.train, validation, rejector, to.console)
    record = record.model_copy(update={"hyperparameters": {**record.hyperparameters, **calibrated}})
    test = evaluate(net, split.test)
    metrics = _metrics("validation", evaluate(net, split.validation)) + _metrics("test", test)
    check_rows = _one_of_each_digit(split.validation)
    candidate = Candidate(
        name="digit",
        kind="digit",
        net=net,
        input=IMAGES,
        output=SCORED if isinstance(net, nets.RejectingDigitNet) else PROBABILITIES,
        metrics=metrics,
        training=record,
        check_rows=check_rows,
        proof_rows=split.validation.inputs[:PROOF_ROWS],
        files={"report/report.md": model_card(record, metrics).encode(), "report/curves.png": curves}
        | _pictures(test, split.test.inputs, title(record))
        | _samples(check_rows),
        quantization=digit_quantization(net, split.train, validation),
    )
    return publish(candidate, to.store, to.key, to.activation)


def _rejecting(
    net: nets.RejectingDigitNet,
    recipe: Recipe,
    train: Rows,
    validation: Sequence[Rows],
    hp: Hyperparameters,
    console: Console,
) -> dict[str, float]:
    """Fit how the net rejects what is no digit; what was fitted, for the manifest."""
    console.print("Learning what is no digit:")
    fit_rejector(net, recipe.digits(train, console), recipe.no_digits(train, console), console, hp)
    threshold = fit_threshold(net, validation)
    return {"threshold": threshold, "rejector_epochs": hp.epochs, **recipe.shares()}


def _metrics(split: str, evaluation: Evaluation) -> tuple[Metric, ...]:
    if evaluation.score is None:
        return evaluation.metrics(split)
    called = (evaluation.score > SCORE_THRESHOLD).double().mean().item()
    return evaluation.metrics(split, {"called-no-digit": called})


def _one_of_each_digit(rows: Rows) -> Tensor:
    """`images_u8 [10, 1, 28, 28]`: the first image of each digit, 0 to 9."""
    first = [int((rows.targets == digit).nonzero()[0]) for digit in range(10)]
    return rows.inputs[first]


def title(record: TrainingRecord) -> str:
    return f"digit by {record.recipe}"


def _pictures(test: Evaluation, images_u8: Tensor, of: str) -> dict[str, bytes]:
    return {
        "report/confusion.png": png(confusion_figure(test, of)),
        "report/mistakes.png": png(mistakes_figure(test, images_u8, of)),
        "report/reliability.png": png(reliability_figure(test, of)),
    }


def _samples(images_u8: Tensor) -> dict[str, bytes]:
    """Each image as the PNG that a client would send."""
    files = {}
    for index, image_u8 in enumerate(images_u8):
        buffer = io.BytesIO()
        Image.fromarray(image_u8[0].numpy()).save(buffer, format="PNG")
        files[f"samples/{index}.png"] = buffer.getvalue()
    return files
