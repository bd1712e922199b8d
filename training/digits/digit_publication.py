"""What is fitted after the weights of a digit net, its report, and its publication."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from service.artifacts.manifest import Manifest, Metric, TrainingRecord
from training.data import Rows
from training.digits import digit_nets as nets
from training.digits.detector import REJECTOR, digit_quantization, fit_rejector, fit_threshold, hands
from training.digits.digit_card import model_card
from training.digits.digit_recipe import IMAGES, PROBABILITIES, SCORE_THRESHOLD, SCORED, Recipe
from training.digits.mnist import load_mnist, split_validation
from training.evaluation.calibration import fit_temperature
from training.evaluation.evaluate import Evaluation, evaluate
from training.evaluation.figures import classifier_figures, samples
from training.fitting.fit import Hyperparameters
from training.publishing.activation import Publication
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


def calibrate_and_publish(
    net: nets.DigitNet,
    recipe: Recipe,
    record: TrainingRecord,
    split: Split,
    curves: bytes,
    to: Publication,
    console: Console,
) -> Manifest:
    """Fit what is fitted after the weights, read the test images, publish."""
    calibrated = {"temperature": fit_temperature(net, split.validation)}
    if isinstance(net, nets.RejectingDigitNet):
        calibrated |= _rejecting(net, recipe, split, rejector(record), console)
    record = record.model_copy(update={"hyperparameters": {**record.hyperparameters, **calibrated}})
    test = evaluate(net, split.test)
    metrics = _metrics("validation", evaluate(net, split.validation)) + _metrics("test", test)
    check_rows = split.validation.one_of_each(10)
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
        | classifier_figures(test, split.test.inputs, title(record))
        | samples(check_rows),
        quantization=digit_quantization(net, split.train),
    )
    return publish(candidate, *to)


def rejector(record: TrainingRecord) -> Hyperparameters:
    """How what is no digit is learned: in no more epochs than the weights, so a first look is quick."""
    epochs = int(record.hyperparameters["epochs"])
    return replace(REJECTOR, epochs=min(epochs, REJECTOR.epochs))


def _rejecting(
    net: nets.RejectingDigitNet,
    recipe: Recipe,
    split: Split,
    hp: Hyperparameters,
    console: Console,
) -> dict[str, float]:
    """Fit how the net rejects what is no digit; what was fitted, for the manifest."""
    console.print("Learning what is no digit:")
    train = split.train
    fit_rejector(net, recipe.digits(train, console), recipe.no_digits(train, console), console, hp)
    threshold = fit_threshold(net, hands(split.validation))
    return {"threshold": threshold, "rejector_epochs": hp.epochs, **recipe.shares()}


def _metrics(split: str, evaluation: Evaluation) -> tuple[Metric, ...]:
    if evaluation.score is None:
        return evaluation.metrics(split)
    called = (evaluation.score > SCORE_THRESHOLD).double().mean().item()
    return evaluation.metrics(split, {"called-no-digit": called})


def title(record: TrainingRecord) -> str:
    return f"digit by {record.recipe}"
