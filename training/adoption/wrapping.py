"""What a served archive does beside the net itself: from bytes to what it reads, and to probabilities."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

# Of ImageNet's pictures (torchvision, `Weights.transforms`), red, green and blue.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PictureArchive(nn.Module):
    """`images` u8 [N, channels, height, width] → f32 [N, classes]: ToTensor, Normalize, net, softmax."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Sequence[float], std: Sequence[float], last: str) -> None:
        super().__init__()
        self.net = net
        self.last = last
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def read(self, images: Tensor) -> Tensor:
        """What the net reads, f32."""
        return (images.to(torch.float32) / 255 - self.mean) / self.std

    def raw(self, images: Tensor) -> Any:
        """Whatever the net answers."""
        return self.net(self.read(images))

    def forward(self, images: Tensor) -> Tensor:
        answers: Tensor = self.net(self.read(images))
        return finished(answers, self.last)


class TableArchive(nn.Module):
    """`rows` f32 [N, columns] → f32 [N, outputs]."""

    def __init__(self, net: nn.Module, last: str) -> None:
        super().__init__()
        self.net = net
        self.last = last

    def read(self, rows: Tensor) -> Tensor:
        """What the net reads: these."""
        return rows

    def raw(self, rows: Tensor) -> Any:
        """Whatever the net answers."""
        return self.net(rows)

    def forward(self, rows: Tensor) -> Tensor:
        answers: Tensor = self.net(rows)
        return finished(answers, self.last)


def finished(answers: Tensor, last: str) -> Tensor:
    """As f32. `last`: "softmax", "sigmoid", or "" for answers that are what they should be."""
    answers = answers.to(torch.float32)
    if answers.dim() == 1:
        answers = answers.unsqueeze(1)
    if last == "softmax":
        return answers.softmax(dim=1)
    if last == "sigmoid":
        return answers.sigmoid()
    return answers
