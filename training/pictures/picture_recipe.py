"""The recipe for folders of pictures: the network, how it learns, and what its pictures go through.

| data | test accuracy, one run |
| --- | --- |
| CIFAR-10 as a JPEG copy (quality 75, 4:2:0) | 92.15 % |
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.fitting.fit import Hyperparameters, Objective, Phase
from training.pictures import picture_augment
from training.pictures.picture_net import PictureNet, picture_net

RECIPE = "picture"
SIZE = 32  # pixels, height and width
LABEL_SMOOTHING = 0.2
HYPERPARAMETERS = Hyperparameters(
    epochs=40,
    batch_size=512,
    learning_rate=0.6,
    momentum=0.9,
    nesterov=True,
    weight_decay=1e-3,
    schedule="linear",
    average_decay=0.995,
    bfloat16=True,
    bias_scale=64.0,
    muon_learning_rate=0.12,
    muon_momentum=0.6,
)
# Of fewer pictures smaller batches are made, and more epochs, so that there are so many steps.
LEAST_STEPS, LEAST_BATCH = 300, 16
BATCHES_AN_EPOCH = 64
AVERAGED_SHARE = 0.1  # of all steps, at most: what is older is not in the average


def _logits(net: nn.Module, images: Tensor) -> Tensor:
    assert isinstance(net, PictureNet)
    return net.logits(images)


OBJECTIVE = Objective(forward=_logits, loss=partial(cross_entropy, label_smoothing=LABEL_SMOOTHING))


def hyperparameters(rows: int, epochs: int | None) -> Hyperparameters:
    """Hyper-parameters for so many pictures. The learning rate goes with the size of a batch."""
    usual = HYPERPARAMETERS.batch_size
    batch = min(usual, max(LEAST_BATCH, rows // BATCHES_AN_EPOCH))
    steps = math.ceil(rows / batch)
    epochs = epochs or max(HYPERPARAMETERS.epochs, math.ceil(LEAST_STEPS / steps))
    decay = 1 - 1 / max(1.0, AVERAGED_SHARE * epochs * steps)
    return replace(
        HYPERPARAMETERS,
        epochs=epochs,
        batch_size=batch,
        average_decay=min(HYPERPARAMETERS.average_decay, decay),
        learning_rate=HYPERPARAMETERS.learning_rate * batch / usual,
    )


def data_steps(mirror: bool) -> dict[str, str | float]:
    """What becomes of pictures and labels before the net learns from them, for the manifest."""
    return {"augmentation": _augment(mirror).__name__, "label_smoothing": LABEL_SMOOTHING}


def phases(hp: Hyperparameters, mirror: bool) -> tuple[Phase, ...]:
    return (Phase(hp, _augment(mirror)),)


def _augment(mirror: bool) -> Callable[[Tensor], Tensor]:
    return picture_augment.flip_shift_and_cut if mirror else picture_augment.shift_and_cut


def start(images_u8: Tensor, classes: int, seed: int) -> PictureNet:
    """The untrained network drawn by `seed`."""
    torch.manual_seed(seed)
    return picture_net(images_u8, classes)
