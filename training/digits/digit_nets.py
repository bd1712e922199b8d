"""Every network. Each is scriptable, takes rows in raw serving units and answers probabilities.

Normalisation is part of a network, as buffers: the archive then carries it, and training and serving
cannot disagree about it. So are the temperature and the statistics by which it tells what is no digit
from what is, where a network has them.
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


class ConvNet(nn.Module):
    """Convolutions in two stages, which end at 14×14 and at 7×7, and a linear layer on what they find."""

    widths: tuple[int, int]

    def __init__(self, early: nn.Module, late: nn.Module, widths: tuple[int, int]) -> None:
        super().__init__()
        self.early = early
        self.late = late
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(widths[1] * 7 * 7, 10))
        self.widths = (widths[0], widths[1] * 4)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.late(self.early(images)))
        return logits

    def summaries(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What each stage finds: on the whole image `f32 [N, C]`, and in its quarters `f32 [N, 4 C]`."""
        early = self.early(images)
        return whole_and_quarters(early, self.late(early))


def whole_and_quarters(early: Tensor, late: Tensor) -> tuple[Tensor, Tensor]:
    """Means of the maps `f32 [N, C, H, W]` of two stages: on the whole image, and on its quarters."""
    pool = nn.functional.avg_pool2d  # reads what a convolution has laid out without laying it out anew
    return pool(early, early.shape[2]).flatten(1), pool(late, 4, 3).flatten(1)


class Gaussians(nn.Module):
    """One Gaussian a class with a common covariance: `f32 [N, C]` → distance of the nearest, `f32 [N]`.

    The Mahalanobis distance, as the Euclidean one behind `whitening` (the inverse of a Cholesky factor).
    """

    whitening: Tensor
    means: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("whitening", torch.eye(width))
        self.register_buffer("means", torch.zeros(10, width))

    def forward(self, features: Tensor) -> Tensor:
        apart = (features @ self.whitening).unsqueeze(1) - self.means
        distances: Tensor = torch.linalg.vector_norm(apart, dim=2)
        return distances.amin(1)


class Detector(nn.Module):
    """How little an image looks like a digit: 0 to 1, of which 0.5 is the threshold.

    The distance to the nearest class in the features of two layers (Lee et al. 2018), and the energy
    -log Σ exp logit (Liu, Wang, Owens and Li 2020), weighted and added.
    """

    weights: Tensor
    threshold: Tensor

    def __init__(self, widths: tuple[int, int]) -> None:
        super().__init__()
        self.early = Gaussians(widths[0])
        self.late = Gaussians(widths[1])
        self.register_buffer("weights", torch.ones(3))
        self.register_buffer("threshold", torch.tensor(0.0))

    def gaussians(self) -> tuple[Gaussians, Gaussians]:
        return self.early, self.late

    def parts(self, early: Tensor, late: Tensor, logits: Tensor) -> Tensor:
        """`f32 [N, 3]`: two distances and the energy."""
        energy = (torch.log_softmax(logits, dim=1) - logits)[:, 0]  # a sixth of the time of logsumexp
        return torch.stack([self.early(early), self.late(late), energy], dim=1)

    def forward(self, early: Tensor, late: Tensor, logits: Tensor) -> Tensor:
        """Return the score `f32 [N, 1]`."""
        raw = (self.parts(early, late, logits) * self.weights).sum(1, keepdim=True)
        return torch.sigmoid(raw - self.threshold)


class DetectingDigitNet(nn.Module):
    """`images_u8 [N, 1, 28, 28]` → probabilities of 0 to 9, then the Detector's score: `f32 [N, 11]`."""

    def __init__(self, net: DigitNet, detector: Detector) -> None:
        super().__init__()
        body = net.body
        assert isinstance(body, ConvNet)
        self.normalize, self.early, self.late, self.head = net.normalize, body.early, body.late, body.head
        self.detector = detector
        self.register_buffer("temperature", net.temperature)

    def forward(self, images: Tensor) -> Tensor:
        early = self.early(self.normalize(images))
        late = self.late(early)
        logits = self.head(late)
        whole, quarters = whole_and_quarters(early, late)
        score = self.detector(whole, quarters, logits)
        return torch.cat([torch.softmax(logits / self.temperature, dim=1), score], dim=1)


def cnn() -> nn.Module:
    """A compact convolutional net, 138,042 parameters: one layer at 28×28, two at 14×14, three at 7×7."""
    early = nn.Sequential(_convolution(1, 16), _convolution(16, 32, stride=2), _convolution(32, 32))
    late = nn.Sequential(nn.MaxPool2d(2), _convolution(32, 64), _convolution(64, 64), _convolution(64, 64))
    return ConvNet(early, late, widths=(32, 64))


def _convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def _kaiming(outputs: int, inputs: int) -> tuple[nn.Parameter, nn.Parameter]:
    weight = nn.init.kaiming_normal_(torch.empty(outputs, inputs))
    return nn.Parameter(weight), nn.Parameter(torch.zeros(outputs))
