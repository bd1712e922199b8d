"""Every network. Each is scriptable, takes rows in raw serving units and answers probabilities.

Normalisation is part of a network, as buffers: the archive then carries it, and training and serving
cannot disagree about it. So are the temperature, and the threshold beyond which an image is no digit.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

# Mean and standard deviation of MNIST's training pixels scaled to [0, 1].
MNIST_MEAN, MNIST_STD = 0.1307, 0.3081

REJECTOR_CHANNELS, REJECTOR_UNITS = 48, 44


class Normalize(nn.Module):
    """torchvision's `ToTensor` + `Normalize((0.1307,), (0.3081,))`, bit for bit: u8 → f32, same shape."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MNIST_MEAN))
        self.register_buffer("std", torch.tensor(MNIST_STD))

    def forward(self, images: Tensor) -> Tensor:
        return images.to(torch.float32).div(255).sub(self.mean).div(self.std)


class DigitNet(nn.Module):
    """`images_u8 [N, 1, 28, 28]`, light ink on dark → probabilities of 0 to 9 `f32 [N, 10]`.

    `body` maps normalised images to logits `f32 [N, 10]`. While training, images may also be float
    in the same units (0 to 255), as augmentation leaves them. Logits are divided by `temperature`, which
    is 1 until it is fitted.
    """

    temperature: Tensor

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.body = body
        self.register_buffer("temperature", torch.tensor(1.0))

    def logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(self.normalize(images))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        return torch.softmax(self.logits(images) / self.temperature, dim=1)


def softmax_mlp() -> nn.Module:
    """784-512-256-128-64-10, ReLU between, none after the last layer."""
    sizes = (784, 512, 256, 128, 64)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10))


class KaimingMlp(nn.Module):
    """784-200-200-10 from plain weight tensors, `kaiming_normal_`, biases zero.

    With `final_relu` the logits pass a ReLU too, as the lecture writes it: no logit can then be
    negative, and a unit that has died for all inputs never learns again.
    """

    def __init__(self, final_relu: bool) -> None:
        super().__init__()
        self.final_relu = final_relu
        self.w1, self.b1 = _kaiming(200, 784)
        self.w2, self.b2 = _kaiming(200, 200)
        self.w3, self.b3 = _kaiming(10, 200)

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        x = torch.relu(x @ self.w1.t() + self.b1)
        x = torch.relu(x @ self.w2.t() + self.b2)
        x = x @ self.w3.t() + self.b3
        return torch.relu(x) if self.final_relu else x


class ConvNet(nn.Module):
    """Convolutions in two stages, and a linear layer: `f32 [N, 1, 28, 28]` → logits `f32 [N, 10]`.

    `early` ends in maps of 7×7, as `late` does; `channels` is how many maps those are together.
    """

    def __init__(self, early: nn.Module, late: nn.Module, head: nn.Module, channels: int) -> None:
        super().__init__()
        self.early = early
        self.late = late
        self.head = head
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.late(self.early(images)))
        return logits


class Both(nn.Module):
    """Maps of two stages, one behind the other: `f32 [N, C, 7, 7]` and `[N, D, 7, 7]` → `[N, C + D, 7, 7]`.

    A module, so that an int8 form may leave it in float: numbers of different scales do not go together.
    """

    def forward(self, early: Tensor, late: Tensor) -> Tensor:
        return torch.cat([early, late], dim=1)


class RejectingDigitNet(DigitNet):
    """`images_u8 [N, 1, 28, 28]` → probabilities of 0 to 9, then how little it is a digit: `f32 [N, 11]`.

    The score is 0 to 1. It comes from what both stages found by a small net of its own, `rejector`, which
    is fitted after the weights and so costs no digit. `threshold` is the one of its log-odds that makes the
    score 0.5.
    """

    if TYPE_CHECKING:  # TorchScript knows no such annotation
        body: ConvNet
    threshold: Tensor

    def __init__(self, body: ConvNet) -> None:
        super().__init__(body)
        self.both = Both()
        self.rejector = nn.Sequential(
            nn.Conv2d(body.channels, REJECTOR_CHANNELS, kernel_size=3),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Flatten(),
            nn.Linear(3 * 3 * REJECTOR_CHANNELS, REJECTOR_UNITS),
            nn.ReLU(),
            nn.Linear(REJECTOR_UNITS, 1),
        ).requires_grad_(False)
        self.register_buffer("threshold", torch.tensor(0.0))

    def features(self, images: Tensor) -> Tensor:
        """What the rejector is given, `f32 [N, channels, 7, 7]`."""
        early = self.body.early(self.normalize(images))
        maps: Tensor = self.both(early, self.body.late(early))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        early = self.body.early(self.normalize(images))
        late = self.body.late(early)
        log_odds = self.rejector(self.both(early, late))
        probabilities = torch.softmax(self.body.head(late) / self.temperature, dim=1)
        return torch.cat([probabilities, torch.sigmoid(log_odds - self.threshold)], dim=1)


def cnn() -> ConvNet:
    """A compact convolutional net: one layer at 28×28, two at 14×14, three at 7×7; 138,042 parameters."""
    early = nn.Sequential(
        _convolution(1, 16), _convolution(16, 32, stride=2), _convolution(32, 32), nn.MaxPool2d(2)
    )
    late = nn.Sequential(_convolution(32, 64), _convolution(64, 64), _convolution(64, 64))
    head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 7 * 7, 10))
    return ConvNet(early, late, head, channels=32 + 64)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def _kaiming(outputs: int, inputs: int) -> tuple[nn.Parameter, nn.Parameter]:
    weight = nn.init.kaiming_normal_(torch.empty(outputs, inputs))
    return nn.Parameter(weight), nn.Parameter(torch.zeros(outputs))
