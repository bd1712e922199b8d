"""The three recipes for MNIST digits, from a lecture's first net to the one that is served.

| recipe | network | test accuracy expected |
| --- | --- | --- |
| softmax-mlp | 784-512-256-128-64-10 | about 97 % (the lecture's figure) |
| kaiming-mlp | 784-200-200-10, plain tensors | depends on whether logits die under the last ReLU |
| cnn | six convolutions, 161,146 parameters | 99.7 % |

Each keeps the epoch of the lowest loss on 5,000 validation images; the test images are read once, after
that choice.
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from service.manifest import (
    ArtifactStore,
    InputSpec,
    Manifest,
    Metric,
    OutputSpec,
    ScoreSpec,
)
from service.signatures import SigningKey
from training import augment, nets
from training.calibration import calibration_error, fit_detector, fit_temperature
from training.data import Rows, load_mnist, split_validation
from training.evaluate import (
    Evaluation,
    confusion_figure,
    curves_figure,
    evaluate,
    mistakes_figure,
    png,
    reliability_figure,
)
from training.fit import History, Hyperparameters, Objective, fit
from training.model_card import model_card
from training.publish import Candidate, publish, training_record


def _logits(net: nn.Module, images: Tensor) -> Tensor:
    assert isinstance(net, nets.DigitNet)  # before what is fitted afterwards is added
    return net.logits(images)


CROSS_ENTROPY = Objective(forward=_logits, loss=cross_entropy)
PROOF_ROWS = 1_000
SCORE_THRESHOLD = 0.5  # the Detector is fitted so

IMAGES = InputSpec(
    name="images",
    dtype="uint8",
    shape=(-1, 1, 28, 28),
    units="grey level",
    minimum=0,
    maximum=255,
    training_minimum=0,
    training_maximum=255,
    polarity="light-on-dark",
)
SCORED = OutputSpec(
    name="probabilities",
    dtype="float32",
    shape=(-1, 11),
    labels=tuple("0123456789"),
    score=ScoreSpec(name="out-of-distribution", threshold=SCORE_THRESHOLD),
)
PROBABILITIES = OutputSpec(
    name="probabilities", dtype="float32", shape=(-1, 10), labels=tuple("0123456789")
)


@dataclass(frozen=True)
class Recipe:
    """A network and how to train it."""

    name: str
    body: Callable[[], nn.Module]
    hyperparameters: Hyperparameters
    augment: Callable[[Tensor], Tensor] | None = None


SOFTMAX_MLP = Recipe(
    name="softmax-mlp",
    body=nets.softmax_mlp,
    hyperparameters=Hyperparameters(epochs=10, batch_size=64, learning_rate=0.01, momentum=0.5),
)

KAIMING_MLP = Recipe(
    name="kaiming-mlp",
    body=lambda: nets.KaimingMlp(final_relu=True),
    hyperparameters=Hyperparameters(epochs=10, batch_size=200, learning_rate=0.01),
)

KAIMING_MLP_LINEAR = replace(
    KAIMING_MLP, name="kaiming-mlp-linear", body=lambda: nets.KaimingMlp(final_relu=False)
)

CNN = Recipe(
    name="cnn",
    body=nets.cnn,
    hyperparameters=Hyperparameters(
        epochs=70,
        batch_size=128,
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        schedule="one-cycle",
        warm_up_share=0.2,
        average_decay=0.998,
        bfloat16=True,
    ),
    augment=augment.distort_as_prepared,
)

RECIPES = {recipe.name: recipe for recipe in (CNN, SOFTMAX_MLP, KAIMING_MLP, KAIMING_MLP_LINEAR)}


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
) -> Manifest:
    """Fit and publish. Raises DataUnavailable, Diverged or PublishFailed."""
    started = time.monotonic()
    everything = load_mnist(data, train=True)
    train, validation = split_validation(everything, seed)
    hp = replace(recipe.hyperparameters, epochs=epochs or recipe.hyperparameters.epochs)
    net = start(recipe, seed).to(device)
    fitted, history = fit(
        net, CROSS_ENTROPY, train.to(device), hp, console, validation.to(device), recipe.augment
    )
    fitted.cpu()
    record = training_record(
        recipe=recipe.name,
        hyperparameters=hp.as_dict()
        | {"augmentation": recipe.augment.__name__ if recipe.augment else "none"}
        | {"parameters": nets.parameter_count(fitted), "selected_epoch": history.selected_epoch},
        seed=seed,
        device=device,
        data_sha256=everything.sha256(),
        started=started,
    )
    published, calibrated = _calibrated(fitted, train, validation)
    record = record.model_copy(update={"hyperparameters": {**record.hyperparameters, **calibrated}})
    test_rows = load_mnist(data, train=False)
    test = evaluate(published, test_rows)
    metrics = _metrics("validation", evaluate(published, validation)) + _metrics("test", test)
    check_rows = _one_of_each_digit(validation)
    candidate = Candidate(
        name="digit",
        task="image-classification",
        net=published,
        input=IMAGES,
        output=SCORED if isinstance(published, nets.DetectingDigitNet) else PROBABILITIES,
        metrics=metrics,
        training=record,
        check_rows=check_rows,
        proof_rows=validation.inputs[:PROOF_ROWS],
        files={"report/report.md": model_card(record, metrics).encode()}
        | _pictures(history, test, test_rows.inputs)
        | _samples(check_rows),
    )
    return publish(candidate, store, key)


def _calibrated(net: nn.Module, train: Rows, validation: Rows) -> tuple[nn.Module, dict[str, float]]:
    """The net with its temperature and, where its layers allow it, its detector; and what was fitted."""
    assert isinstance(net, nets.DigitNet)
    temperature = fit_temperature(net, validation)
    if not isinstance(net.body, nets.ConvNet):
        return net, {"temperature": temperature}
    return nets.DetectingDigitNet(net, fit_detector(net, train, validation)), {"temperature": temperature}


def start(recipe: Recipe, seed: int) -> nets.DigitNet:
    """The untrained network drawn by `seed`."""
    torch.manual_seed(seed)
    # channels_last: a fifth less time a step, and a third less an image when serving on a CPU.
    return nets.DigitNet(recipe.body()).to(memory_format=torch.channels_last)


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


def _pictures(history: History, test: Evaluation, images_u8: Tensor) -> dict[str, bytes]:
    return {
        "report/curves.png": png(curves_figure(history)),
        "report/confusion.png": png(confusion_figure(test)),
        "report/mistakes.png": png(mistakes_figure(test, images_u8)),
        "report/reliability.png": png(reliability_figure(test)),
    }


def _samples(images_u8: Tensor) -> dict[str, bytes]:
    """Each image as the PNG that a client would send."""
    files = {}
    for index, image_u8 in enumerate(images_u8):
        buffer = io.BytesIO()
        Image.fromarray(image_u8[0].numpy()).save(buffer, format="PNG")
        files[f"samples/{index}.png"] = buffer.getvalue()
    return files
