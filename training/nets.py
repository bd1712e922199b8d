"""Every network. Each is scriptable, takes rows in raw serving units and answers probabilities.

Normalisation is part of a network, as buffers: the archive then carries it, and training and serving
cannot disagree about it.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

# Mean and standard deviation of MNIST's training pixels scaled to [0, 1].
MNIST_MEAN, MNIST_STD = 0.1307, 0.3081


class PassNet(nn.Module):
    """Logistic regression: `hours f32 [N, 1]` → probability of passing `f32 [N, 1]`.

    sigmoid(w · (hours - shift) / scale + b), with shift 0 and scale 1 unless told otherwise.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)
        self.register_buffer("shift", torch.tensor(shift))
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, hours: Tensor) -> Tensor:
        return torch.sigmoid(self.linear((hours - self.shift) / self.scale))

    def coefficients(self) -> tuple[float, float]:
        """Return w (per hour) and b of sigmoid(w · hours + b)."""
        w, b = self.linear.weight.item(), self.linear.bias.item()
        shift, scale = self.shift.item(), self.scale.item()
        return w / scale, b - w * shift / scale


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
    in the same units (0 to 255), as augmentation leaves them.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.body = body

    def logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(self.normalize(images))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        return torch.softmax(self.logits(images), dim=1)


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


def cnn() -> nn.Module:
    """A compact convolutional net, 131,754 parameters: three convolutions at 14×14, two at 7×7."""
    return nn.Sequential(
        _convolution(1, 32, kernel=5, stride=2),
        _convolution(32, 48),
        _convolution(48, 48),
        nn.MaxPool2d(2),
        _convolution(48, 64),
        _convolution(64, 64),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 7 * 7, 10),
    )


def parameter_count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def _convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def _kaiming(outputs: int, inputs: int) -> tuple[nn.Parameter, nn.Parameter]:
    weight = nn.init.kaiming_normal_(torch.empty(outputs, inputs))
    return nn.Parameter(weight), nn.Parameter(torch.zeros(outputs))
