"""How training pictures are varied: mirrored, moved by up to four pixels, and a square of each taken out.

The square is cutout (DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with
Cutout", arXiv 1708.04552, 2017): its centre may lie anywhere, so a part of it may be outside.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

SHIFT = 4  # pixels, each way
CUT = 10  # pixels, height and width
GREY = 128


def flip_shift_and_cut(images: Tensor) -> Tensor:
    """`u8 [N, C, H, W]` → the same; half are mirrored, and what a shift uncovers is reflected."""
    return _cut(_shifted(images, 0.5))


def shift_and_cut(images: Tensor) -> Tensor:
    """The same, but none are mirrored."""
    return _cut(_shifted(images, 0))


def _shifted(images: Tensor, mirrored: float) -> Tensor:
    n, channels, height, width = images.shape
    device = images.device
    wide = pad(images.to(torch.float32), (SHIFT,) * 4, mode="reflect").to(torch.uint8)
    top, left = torch.randint(0, 2 * SHIFT + 1, (2, n, 1), device=device)
    rows = top + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(n, width)
    columns = left + torch.where(torch.rand(n, 1, device=device) < mirrored, columns.flip(1), columns)
    places = rows.unsqueeze(2) * wide.shape[3] + columns.unsqueeze(1)
    places = places.view(n, 1, -1).expand(n, channels, -1)
    return wide.flatten(2).gather(2, places).view(n, channels, height, width)


def _cut(images: Tensor) -> Tensor:
    rows, columns = (_within_cut(len(images), size, images.device) for size in images.shape[2:])
    return images.masked_fill((rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), GREY)


def _within_cut(n: int, size: int, device: torch.device) -> Tensor:
    """`bool [N, size]`: the rows, or columns, that the square of each picture covers."""
    first = torch.randint(-CUT // 2, size - CUT // 2, (n, 1), device=device)
    place = torch.arange(size, device=device)
    return (place >= first) & (place < first + CUT)
