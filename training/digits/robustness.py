"""How well a published model reads what people send: every picture goes in as a client's would.

Accuracy on MNIST's test digits under every look of `sheets`, one change at a time and all at once; on
digits as they come from elsewhere (`held_out.sources`); on scikit-learn's digits (1,797 real ones of 43
writers, 8×8, never trained on); and how often what is no digit is called so (`held_out.non_digits`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.progress import track
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import Tensor

from service.errors import ServiceError
from service.pictures.images import find_digit, open_picture
from training.data import Pixels, Rows
from training.digits import sheets
from training.digits.held_out import non_digits
from training.digits.held_out.sources import SOURCES
from training.evaluation.figures import png

Predict = Callable[[Tensor], Tensor]

MOST_PER_KIND = 300  # of what is no digit
MOST_PER_SOURCE = 1_000
EXAMPLES = 8
MAX_PIXELS = 25_000_000
REFUSED = -1  # instead of a digit
AS_THEY_ARE = "as they are, 8×8"


@dataclass
class Robustness:
    """Accuracies by name, with the number of pictures; and examples: (upload, prepared, title)."""

    digits_per_cell: int
    cells: dict[tuple[str, str], float] = field(default_factory=dict)
    anything: float = 0.0
    other_digits: dict[str, float] = field(default_factory=dict)
    other_digits_flagged: float = 0.0
    other_digits_n: int = 0
    sources: dict[str, tuple[float, float]] = field(default_factory=dict)  # right; of these, flagged
    flagged: dict[str, float] = field(default_factory=dict)
    auroc: float = 0.0
    examples: dict[str, list[tuple[bytes, Pixels, str]]] = field(default_factory=dict)

    @property
    def digits_per_source(self) -> int:
        return min(self.digits_per_cell, MOST_PER_SOURCE)

    @property
    def non_digits_per_kind(self) -> int:
        return min(self.digits_per_cell, MOST_PER_KIND)

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.cells.values())))

    @property
    def worst(self) -> float:
        return min(self.cells.values())

    @property
    def mean_flagged(self) -> float:
        return float(np.mean(list(self.flagged.values())))


def examine(predict: Predict, test: Rows, digits_per_cell: int, score_threshold: float) -> Robustness:
    """`predict`: images_u8 [N, 1, 28, 28] → probabilities and a score, f32 [N, 11]. `test`: MNIST's."""
    found = Robustness(digits_per_cell)
    anything = np.random.default_rng(0)
    drawn = anything.permutation(len(test.inputs))[:digits_per_cell]
    images_u8, labels = test.inputs[drawn, 0].numpy(), test.targets[drawn].numpy()
    for (factor, level), look in track(list(sheets.cells().items()), "robustness", transient=True):
        random = np.random.default_rng(0)
        files = [sheets.draw(image_u8, look, random) for image_u8 in images_u8]
        found.cells[factor, level] = _examine_files(found, factor, predict, files, labels)
    files = [sheets.draw(image_u8, sheets.anything(anything), anything) for image_u8 in images_u8]
    found.anything = _examine_files(found, "all at once", predict, files, labels, EXAMPLES)
    for name, source in track(list(SOURCES.items()), "sources", transient=True):
        random = np.random.default_rng(0)
        n = found.digits_per_source
        files = [
            source.draw(*digit, random) for digit in zip(images_u8[:n], labels[:n].tolist(), strict=True)
        ]
        found.sources[name] = _examine_source(found, name, predict, files, labels[:n], score_threshold)
    examine_other_digits(found, predict, score_threshold)
    _examine_non_digits(found, predict, test, score_threshold)
    return found


def _examine_files(
    found: Robustness,
    name: str,
    predict: Predict,
    files: Sequence[bytes],
    labels: Pixels,
    examples: int = 1,
) -> float:
    """The accuracy; and examples are added to those of that name."""
    prepared = read(files)
    predicted = digits_of(predict(prepared), prepared)
    return _accuracy(found, name, files, labels, prepared, predicted, examples)


def _examine_source(
    found: Robustness,
    name: str,
    predict: Predict,
    files: Sequence[bytes],
    labels: Pixels,
    score_threshold: float,
) -> tuple[float, float]:
    """The accuracy, and how many of what is right are called no digit."""
    prepared = read(files)
    answers = predict(prepared)
    predicted = digits_of(answers, prepared)
    right = _accuracy(found, name, files, labels, prepared, predicted, EXAMPLES)
    flagged = (answers[:, 10] > score_threshold).numpy()[predicted == labels]
    return right, float(flagged.mean()) if len(flagged) else 0.0


def _accuracy(
    found: Robustness,
    name: str,
    files: Sequence[bytes],
    labels: Pixels,
    prepared: Tensor,
    predicted: NDArray[Any],
    examples: int,
) -> float:
    """Likewise, of what was read: mistakes are shown, and then what was right."""
    shown = found.examples.setdefault(name, [])
    wrong, right = np.flatnonzero(predicted != labels), np.flatnonzero(predicted == labels)
    wrong = np.roll(wrong, -len(shown))  # so that not all cells of a factor show the same digit
    for chosen in np.concatenate([wrong, right])[:examples]:
        found_to_be = "refused" if predicted[chosen] == REFUSED else predicted[chosen]
        title = f"{labels[chosen]} → {found_to_be}" if chosen in wrong else f"{labels[chosen]}"
        shown.append((files[chosen], prepared[chosen, 0].numpy(), title))
    return float((predicted == labels).mean())


def digits_of(answers: Tensor, prepared: Tensor) -> NDArray[np.int64]:
    """The likeliest of each, i64 [N]; REFUSED, which is right of none, where `read` gave black."""
    return torch.where(seen(prepared), answers[:, :10].argmax(1), REFUSED).numpy()


def seen(prepared: Tensor) -> Tensor:
    """Which of what `read` gave the service would not have refused, bool [N]."""
    return prepared.flatten(1).amax(1) > 0


def read(files: Iterable[bytes]) -> Tensor:
    """Encoded uploads → `images_u8 [N, 1, 28, 28]`; black where the service would refuse one."""
    rows = []
    for file in files:
        try:
            rows.append(find_digit(open_picture(file, MAX_PIXELS)).digit.image_u8())
        except ServiceError:
            rows.append(np.zeros((28, 28), dtype=np.uint8))
    return torch.from_numpy(np.stack(rows)).unsqueeze(1)


def examine_other_digits(found: Robustness, predict: Predict, score_threshold: float) -> None:
    """Of scikit-learn's digits, in several ways: `other_digits` of `found`."""
    digits, n = load_digits(), found.digits_per_cell
    images, labels = digits.images[:n], digits.target[:n]
    pictures = [Image.fromarray((image * 15.9375).astype(np.uint8)) for image in images]
    found.other_digits_n = len(labels)
    ways: dict[str, Callable[[Image.Image], Image.Image]] = {
        AS_THEY_ARE: lambda picture: picture,
        "turned over": ImageOps.invert,
        "enlarged": lambda picture: picture.resize((160, 160), Image.Resampling.BICUBIC),
        "enlarged, turned over, with a border": lambda picture: ImageOps.expand(
            ImageOps.invert(picture.resize((160, 160), Image.Resampling.BICUBIC)), 40, 255
        ),
    }
    for way, change in ways.items():
        prepared = read(png(change(picture)) for picture in pictures)
        answers = predict(prepared)
        found.other_digits[way] = float((digits_of(answers, prepared) == labels).mean())
        if way == AS_THEY_ARE:
            found.other_digits_flagged = float((answers[:, 10] > score_threshold).double().mean())


def _examine_non_digits(found: Robustness, predict: Predict, test: Rows, score_threshold: float) -> None:
    of_digits = predict(test.inputs)[:, 10]
    of_others = []
    for kind, draw in non_digits.kinds(test.inputs[:, 0].numpy()).items():
        random = np.random.default_rng(0)
        files = [png(draw(random)) for _ in range(found.non_digits_per_kind)]
        prepared = read(files)
        answers = predict(prepared)
        score = torch.where(seen(prepared), answers[:, 10], 1.0)  # to refuse it is no wrong answer, too
        found.flagged[kind] = float((score > score_threshold).double().mean())
        of_others.append(score)
        predicted = answers[:, :10].argmax(1)
        found.examples[kind] = [
            (file, image_u8.numpy(), "no digit" if score[i] > score_threshold else f"{predicted[i]}?")
            for i, (file, image_u8) in enumerate(zip(files[:EXAMPLES], prepared[:EXAMPLES, 0], strict=True))
        ]
    scores = torch.cat([of_digits, *of_others])
    is_other = np.arange(len(scores)) >= len(of_digits)
    found.auroc = float(roc_auc_score(is_other, scores.numpy()))
