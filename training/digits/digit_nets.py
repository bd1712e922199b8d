"""Every network. Each is scriptable, takes rows in raw serving units and answers probabilities.

Normalisation is part of a network, as buffers: the archive then carries it, and training and serving
cannot disagree about it. So are the temperature, and the threshold beyond which an image is no digit.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

# Mean and standard deviation of MNIST's training pixels scaled to [0, 1].
MNIST_MEAN, MNIST_STD = 0.1307, 0.3081


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


class RejectingDigitNet(DigitNet):
    """`images_u8 [N, 1, 28, 28]` → probabilities of 0 to 9, then how little it is a digit: `f32 [N, 11]`.

    `body` gives an eleventh logit, of what is no digit, and is trained on such images (outlier exposure:
    Hendrycks, Mazeika and Dietterich 2019; as a class of its own: Mohseni, Pitale, Yadawa and Wang 2020).
    The score is 0 to 1; `threshold` is the one of its log-odds that makes it 0.5.
    """

    threshold: Tensor

    def __init__(self, body: nn.Module) -> None:
        super().__init__(body)
        self.register_buffer("threshold", torch.tensor(0.0))

    def every_logit(self, images: Tensor) -> Tensor:
        """`f32 [N, 11]`."""
        logits: Tensor = self.body(self.normalize(images))
        return logits

    def logits(self, images: Tensor) -> Tensor:
        return self.every_logit(images)[:, :10]

    def log_odds(self, every_logit: Tensor) -> Tensor:
        """Of being no digit, `f32 [N, 1]`."""
        digits = every_logit[:, :10]
        return every_logit[:, 10:] - torch.logsumexp(digits, dim=1, keepdim=True)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.every_logit(images)
        score = torch.sigmoid(self.log_odds(logits) - self.threshold)
        return torch.cat([torch.softmax(logits[:, :10] / self.temperature, dim=1), score], dim=1)


def cnn() -> nn.Module:
    """A compact convolutional net, 173,419 parameters: two layers at 14×14, one at 7×7, two at 4×4."""
    return nn.Sequential(
        _convolution(1, 16, kernel=5, stride=2),
        _convolution(16, 24),
        _convolution(24, 64, stride=2),
        _convolution(64, 96, stride=2),
        _convolution(96, 96),
        nn.Flatten(),
        nn.Linear(96 * 4 * 4, 11),
    )


def _convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def _kaiming(outputs: int, inputs: int) -> tuple[nn.Parameter, nn.Parameter]:
    weight = nn.init.kaiming_normal_(torch.empty(outputs, inputs))
    return nn.Parameter(weight), nn.Parameter(torch.zeros(outputs))
