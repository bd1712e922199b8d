"""How training pictures are varied: mirrored, and moved by up to two pixels."""

import torch
from torch import Tensor
from torch.nn.functional import pad

SHIFT = 2  # pixels, each way


def flip_and_shift(images: Tensor) -> Tensor:
    """`u8 [N, C, H, W]` → the same; half are mirrored, and what a shift uncovers is reflected."""
    return _shifted(images, 0.5)


def shift(images: Tensor) -> Tensor:
    """Likewise, none mirrored."""
    return _shifted(images, 0)


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
