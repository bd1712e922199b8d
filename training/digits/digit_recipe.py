"""The recipes for MNIST digits, from a lecture's first net to the one that is served.

| recipe | network | test accuracy expected |
| --- | --- | --- |
| softmax-mlp | 784-512-256-128-64-10 | about 97 % (the lecture's figure) |
| kaiming-mlp | 784-200-200-10, plain tensors | depends on whether logits die under the last ReLU |
| kaiming-mlp-linear | the same without that ReLU | about 95 % |
| cnn | six convolutions, 198,659 parameters with those that tell what is no digit | 99.7 % |

Each keeps the epoch of the lowest loss on 5,000 validation images; the test images are read once, after
that choice.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from service.artifacts.fitness import DIGIT_LABELS
from service.artifacts.interface import Output, PictureInput, ScoreSpec
from training.data import Rows
from training.digits import augment
from training.digits import digit_nets as nets
from training.digits.drawn import styles
from training.digits.drawn.beside import digits_with_something_beside
from training.digits.drawn.negatives import families, negatives
from training.fitting.fit import Hyperparameters, Objective, Phase


def _logits(net: nn.Module, images: Tensor) -> Tensor:
    assert isinstance(net, nets.DigitNet)
    return net.logits(images)


CROSS_ENTROPY = Objective(forward=_logits, loss=cross_entropy)
SCORE_THRESHOLD = 0.5  # the net's threshold is fitted so
MOST_THICKER, MOST_THICKER_OF_ONE = 2, 3  # pixels on every side: a 1 has nothing that closes

IMAGES = PictureInput(height=28, width=28, channels=1, resize="mnist", polarity="light-on-dark")
PROBABILITIES = Output(kind="classes", labels=DIGIT_LABELS)
SCORED = Output(
    kind="classes",
    labels=PROBABILITIES.labels,
    score=ScoreSpec(name="out-of-distribution", threshold=SCORE_THRESHOLD),
)


@dataclass(frozen=True)
class Recipe:
    """A network and how to train it: on which rows beside MNIST's, and how its images are distorted.

    With `negatives`, it learns afterwards what is no digit, from so many pictures a row.
    `beside`, `few_pixels` and `thick`: likewise, of digits with something beside them, on few pixels, and
    on few pixels by a broad pen.
    """

    name: str
    body: Callable[[], nn.Module]
    hyperparameters: Hyperparameters
    negatives: float = 0.0
    beside: float = 0.0
    few_pixels: float = 0.0
    thick: float = 0.0
    extend: Callable[[Rows, Console], Rows] | None = None
    augment: Callable[[Tensor], Tensor] | None = None
    augment_refining: Callable[[Tensor], Tensor] | None = None

    def phases(self, hp: Hyperparameters) -> tuple[Phase, ...]:
        """Training, and refining where there are epochs for it; `hp`: this recipe's, perhaps changed."""
        refining = round(hp.epochs * hp.refine_share)
        phases = [Phase(replace(hp, epochs=hp.epochs - refining), self.augment, augment.WORKERS)]
        if refining:
            gentle = replace(
                hp,
                epochs=refining,
                learning_rate=hp.refine_learning_rate,
                schedule="one-cycle",
                warm_up_share=0.1,
            )
            phases.append(Phase(gentle, self.augment_refining, augment.WORKERS))
        return tuple(phases)

    def rows(self, train: Rows, console: Console) -> Rows:
        """What is trained on: MNIST's rows, and what is added to them."""
        return self.extend(train, console) if self.extend else train

    def digits(self, rows: Rows, console: Console) -> Tensor:
        """What it learns afterwards to tell from what is no digit, `images_u8 [N, 1, 28, 28]`."""
        digits_u8 = rows.inputs
        beside, few, thick = (
            round(share * len(digits_u8)) for share in (self.beside, self.few_pixels, self.thick)
        )
        beside_u8 = digits_with_something_beside(digits_u8, beside, 0, console)
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            chosen = torch.randperm(len(digits_u8))[:few]
            thin = augment.on_few_pixels(digits_u8[chosen])
            chosen = torch.randperm(len(digits_u8))[:thick]
            most = torch.where(rows.targets[chosen] == 1, MOST_THICKER_OF_ONE, MOST_THICKER)
            broad = augment.on_few_pixels(augment.thickened(digits_u8[chosen], most))
        return torch.cat([digits_u8, beside_u8, torch.cat([thin, broad]).to(torch.uint8)])

    def no_digits(self, digits: Rows, console: Console) -> Tensor:
        """What it learns to tell from these, `images_u8 [N, 1, 28, 28]`."""
        return negatives(digits.inputs, round(self.negatives * len(digits.inputs)), 0, console)

    def data(self) -> dict[str, str | float]:
        """What becomes of MNIST's rows before a net sees them, for the manifest."""
        steps = (
            ("extension", self.extend),
            ("augmentation", self.augment),
            ("augmentation_refining", self.augment_refining),
        )
        named = {name: step.__name__ if step else "none" for name, step in steps}
        if not self.negatives:
            return {**named}
        return {**named, **self.shares(), "fonts": ", ".join(families())}

    def shares(self) -> dict[str, float]:
        """Of MNIST's rows and those beside them: what it learns from afterwards, for the manifest."""
        return {
            "negatives": self.negatives,
            "beside": self.beside,
            "few_pixels": self.few_pixels,
            "thick": self.thick,
        }


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
        epochs=104,
        batch_size=128,
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        schedule="one-cycle",
        warm_up_share=0.2,
        average_decay=0.998,
        bfloat16=True,
        refine_share=0.08,
        refine_learning_rate=0.01,
    ),
    negatives=3.35,
    beside=0.1,
    few_pixels=0.2,
    thick=0.2,
    extend=styles.with_other_styles,
    augment=augment.distort_as_prepared,
    augment_refining=augment.coarsened,
)

RECIPES = {recipe.name: recipe for recipe in (CNN, SOFTMAX_MLP, KAIMING_MLP, KAIMING_MLP_LINEAR)}


def start(recipe: Recipe, seed: int) -> nets.DigitNet:
    """The untrained network drawn by `seed`."""
    torch.manual_seed(seed)
    body = recipe.body()
    net = nets.RejectingDigitNet(body) if isinstance(body, nets.ConvNet) else nets.DigitNet(body)
    # channels_last: a fifth less time a step, and a third less an image when serving on a CPU.
    return net.to(memory_format=torch.channels_last)
