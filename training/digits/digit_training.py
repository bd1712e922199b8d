"""A recipe carried out: fit, then what is fitted after the weights, then publish."""

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from service.artifacts.manifest import ArtifactError, Manifest, Metric, TrainingRecord
from service.artifacts.signatures import SigningKey
from service.artifacts.store import ArtifactStore, read_further_files, read_manifest, read_model
from training.activation import IF_AS_GOOD, Activation
from training.data import Rows
from training.digits import digit_nets as nets
from training.digits.detector import digit_quantization, fit_threshold
from training.digits.digit_card import model_card
from training.digits.digit_recipe import (
    IMAGES,
    PROBABILITIES,
    RECIPES,
    SCORE_THRESHOLD,
    SCORED,
    Recipe,
    start,
)
from training.digits.mnist import load_mnist, split_validation
from training.evaluation.calibration import calibration_error, fit_temperature
from training.evaluation.evaluate import Evaluation, evaluate
from training.evaluation.figures import (
    confusion_figure,
    curves_figure,
    mistakes_figure,
    png,
    reliability_figure,
)
from training.fitting.checkpoint import Checkpoint, Settings
from training.fitting.fit import fit
from training.fitting.ranks import ALONE, Ranks
from training.publish import Candidate, publish, weights
from training.record import git_commit, parameter_count, training_record

PROOF_ROWS = 1_000


class Split(NamedTuple):
    """MNIST as a recipe uses it, and the SHA-256 of all its training images as they come."""

    train: Rows
    validation: Rows
    test: Rows
    sha256: str

    @classmethod
    def load(cls, data: Path, recipe: Recipe) -> "Split":
        """Raises DataUnavailable."""
        everything = load_mnist(data, train=True)
        train, validation = split_validation(everything)
        return cls(recipe.rows(train), validation, load_mnist(data, train=False), everything.sha256())


def train_digit(
    recipe: Recipe,
    store: ArtifactStore,
    data: Path,
    console: Console,
    *,
    device: torch.device,
    epochs: int | None = None,
    seed: int = 0,
    key: SigningKey | None = None,
    activation: Activation = IF_AS_GOOD,
    checkpoint: Checkpoint | None = None,
    ranks: Ranks = ALONE,
) -> Manifest:
    """Fit and publish. Of several `ranks` all fit, and the first publishes, for which the rest wait.

    Raises DataUnavailable, LaunchUnusable, CheckpointUnusable, Diverged, PublishFailed or ArtifactError.
    """
    started = time.monotonic()
    with ranks.first_of_machine():
        split = Split.load(data, recipe)
    ranks.check_same(lambda: split.sha256, "the images")
    train, validation = split.train.to(device), split.validation.to(device)
    hp = replace(recipe.hyperparameters, epochs=epochs or recipe.hyperparameters.epochs)
    if checkpoint:
        settings: Settings = {
            "recipe": recipe.name,
            "seed": seed,
            "device": device.type,
            "data": split.sha256,
        }
        checkpoint.open("digit", {**settings, **hp.as_dict(), **recipe.data()})
        started = checkpoint.began
    net = start(recipe, seed).to(device)
    fitted, history = fit(
        net, recipe.objective, train, recipe.phases(hp), console, validation, checkpoint, ranks
    )
    record = training_record(
        recipe=recipe.name,
        hyperparameters=hp.as_dict()
        | recipe.data()
        | ranks.settings()
        | {"parameters": parameter_count(fitted), "selected_epoch": history.selected_epoch},
        seed=seed,
        device=device,
        data_sha256=split.sha256,
        started=started,
    )
    assert isinstance(fitted, nets.DigitNet)

    def published() -> Manifest:
        curves = png(curves_figure(history, _title(record)))
        manifest = calibrate_and_publish(fitted.cpu(), record, split, curves, store, key, activation)
        if checkpoint:
            checkpoint.discard()
        return manifest

    return ranks.by_first(published)


def recalibrate_digit(
    version: int,
    store: ArtifactStore,
    data: Path,
    key: SigningKey | None = None,
    activation: Activation = IF_AS_GOOD,
) -> Manifest:
    """Publish the weights of a version again, with what is fitted after them fitted anew.

    Raises ArtifactError, DataUnavailable or PublishFailed.
    """
    folder = store.folder("digit", version)
    manifest = read_manifest(folder)
    record = manifest.training
    recipe = RECIPES.get(record.recipe) if record else None
    net = start(recipe, record.seed) if record and recipe else None
    if (
        not record
        or not recipe
        or not net
        or not isinstance(net, nets.RejectingDigitNet)
        or not manifest.output.score
    ):
        raise ArtifactError(f"digit/{version} has nothing that is fitted after its weights")
    try:
        net.load_state_dict(weights(read_model(folder, manifest)))
    except RuntimeError as error:
        raise ArtifactError(
            f"digit/{version} is a net of another form than today's {recipe.name}"
        ) from error
    again = {"weights_of_version": version, "calibrated_at_commit": git_commit() or "unknown"}
    record = record.model_copy(update={"hyperparameters": {**record.hyperparameters, **again}})
    try:
        curves = read_further_files(folder).get("report/curves.png")
        if curves is None:
            raise ArtifactError(f"digit/{version} has no report/curves.png")
    except OSError as error:
        raise ArtifactError(
            f"digit/{version}/report/curves.png cannot be read: {error.strerror}"
        ) from error
    split = Split.load(data, recipe)
    return calibrate_and_publish(net.eval(), record, split, curves, store, key, activation)


def calibrate_and_publish(
    net: nets.DigitNet,
    record: TrainingRecord,
    split: Split,
    curves: bytes,
    store: ArtifactStore,
    key: SigningKey | None,
    activation: Activation,
) -> Manifest:
    """Fit what is fitted after the weights, read the test images, publish."""
    calibrated = _calibrated(net, split.validation)
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
        | _pictures(test, split.test.inputs, _title(record))
        | _samples(check_rows),
        quantization=digit_quantization(net, split.train, split.validation),
    )
    return publish(candidate, store, key, activation)


def _calibrated(net: nets.DigitNet, validation: Rows) -> dict[str, float]:
    """Fit the temperature and, where the net rejects what is no digit, the threshold; and what they are."""
    fitted = {"temperature": fit_temperature(net, validation)}
    if isinstance(net, nets.RejectingDigitNet):
        fitted["threshold"] = fit_threshold(net, validation)
    return fitted


def _metrics(split: str, evaluation: Evaluation) -> tuple[Metric, ...]:
    values = {
        "accuracy": evaluation.accuracy,
        "negative-log-likelihood": evaluation.negative_log_likelihood,
        "expected-calibration-error": calibration_error(evaluation.probabilities, evaluation.labels),
    }
    if evaluation.score is not None:
        values["called-no-digit"] = (evaluation.score > SCORE_THRESHOLD).double().mean().item()
    n = len(evaluation.labels)
    return tuple(Metric(name=k, value=v, split=split, n=n) for k, v in values.items())


def _one_of_each_digit(rows: Rows) -> Tensor:
    """`images_u8 [10, 1, 28, 28]`: the first image of each digit, 0 to 9."""
    first = [int((rows.targets == digit).nonzero()[0]) for digit in range(10)]
    return rows.inputs[first]


def _title(record: TrainingRecord) -> str:
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
