"""The three recipes for MNIST digits, from a lecture's first net to the one that is served.

| recipe | network | test accuracy expected |
| --- | --- | --- |
| softmax-mlp | 784-512-256-128-64-10 | about 97 % (the lecture's figure) |
| kaiming-mlp | 784-200-200-10, plain tensors | depends on whether logits die under the last ReLU |
| cnn | five convolutions, 173,419 parameters | 99.5 % |

Each keeps the epoch of the lowest loss on 5,000 validation images; the test images are read once, after
that choice.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from service.artifacts.interface import Output, PictureInput, ScoreSpec
from training.data import Rows
from training.digits import augment, styles
from training.digits import digit_nets as nets
from training.digits.negatives import families, negatives
from training.fitting.fit import Hyperparameters, Objective, Phase


def _logits(net: nn.Module, images: Tensor) -> Tensor:
    assert isinstance(net, nets.DigitNet)  # before what is fitted afterwards is added
    return net.logits(images)


def _every_logit(net: nn.Module, images: Tensor) -> Tensor:
    assert isinstance(net, nets.RejectingDigitNet)
    return net.every_logit(images)


CROSS_ENTROPY = Objective(forward=_logits, loss=cross_entropy)
# Of eleven classes: that of no digit is the last.
REJECTING = Objective(forward=_every_logit, loss=cross_entropy)
NO_DIGIT = 10
SCORE_THRESHOLD = 0.5  # the net's threshold is fitted so

IMAGES = PictureInput(height=28, width=28, channels=1, resize="mnist", polarity="light-on-dark")
PROBABILITIES = Output(kind="classes", labels=tuple("0123456789"))
SCORED = Output(
    kind="classes",
    labels=PROBABILITIES.labels,
    score=ScoreSpec(name="out-of-distribution", threshold=SCORE_THRESHOLD),
)


@dataclass(frozen=True)
class Recipe:
    """A network and how to train it: on which rows beside MNIST's, and how its images are distorted.

    With `negatives`, so many pictures for each of MNIST's are trained on that are no digits.
    """

    name: str
    body: Callable[[], nn.Module]
    hyperparameters: Hyperparameters
    negatives: float = 0.0
    extend: Callable[[Rows], Rows] | None = None
    augment: Callable[[Tensor], Tensor] | None = None
    augment_refining: Callable[[Tensor], Tensor] | None = None

    def phases(self, hp: Hyperparameters) -> tuple[Phase, ...]:
        """Training, and refining where there are epochs for it; `hp`: this recipe's, perhaps changed."""
        refining = round(hp.epochs * hp.refine_share)
        phases = [Phase(replace(hp, epochs=hp.epochs - refining), self.augment)]
        if refining:
            gentle = replace(
                hp,
                epochs=refining,
                learning_rate=hp.refine_learning_rate,
                schedule="one-cycle",
                warm_up_share=0.1,
                muon_learning_rate=0.0,
            )
            phases.append(Phase(gentle, self.augment_refining))
        return tuple(phases)

    @property
    def objective(self) -> Objective:
        return REJECTING if self.negatives else CROSS_ENTROPY

    def rows(self, train: Rows) -> Rows:
        """What is trained on: MNIST's rows, and what is added to them."""
        extended = self.extend(train) if self.extend else train
        if not self.negatives:
            return extended
        images_u8 = negatives(train.inputs, round(self.negatives * len(train.inputs)), seed=0)
        labels = train.targets.new_full((len(images_u8),), NO_DIGIT)
        return Rows(torch.cat([extended.inputs, images_u8]), torch.cat([extended.targets, labels]))

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
        return {**named, "negatives": self.negatives, "fonts": ", ".join(families())}


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
        epochs=40,
        batch_size=256,
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        schedule="linear",
        average_decay=0.998,
        bfloat16=True,
        refine_share=0.08,
        refine_learning_rate=0.01,
        muon_learning_rate=0.12,
        muon_momentum=0.6,
    ),
    negatives=0.35,
    extend=styles.with_other_styles,
    augment=augment.distort_as_prepared,
    augment_refining=augment.coarsened,
)

RECIPES = {recipe.name: recipe for recipe in (CNN, SOFTMAX_MLP, KAIMING_MLP, KAIMING_MLP_LINEAR)}


def start(recipe: Recipe, seed: int) -> nets.DigitNet:
    """The untrained network drawn by `seed`."""
    torch.manual_seed(seed)
    # channels_last: a fifth less time a step, and a third less an image when serving on a CPU.
    net = nets.RejectingDigitNet if recipe.negatives else nets.DigitNet
    return net(recipe.body()).to(memory_format=torch.channels_last)
