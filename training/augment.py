"""Random distortions of training images. They belong to training alone: no archive contains them."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

ROTATION_DEGREES = 12.0
SCALE = 0.10
STRETCH = 0.05
SHEAR = 0.15
SHIFT_PIXELS = 2.0


def random_affine(images_u8: Tensor) -> Tensor:
    """Rotate, scale, shear and shift every image by its own small random amounts.

    `images_u8 [N, 1, H, W]` → `f32 [N, 1, H, W]`, still in 0 to 255; what comes in from outside is 0.
    """
    count, _, height, _ = images_u8.shape

    def uniform(limit: float) -> Tensor:
        return torch.empty(count, device=images_u8.device).uniform_(-limit, limit)

    angle = uniform(math.radians(ROTATION_DEGREES))
    scale_x = 1 + uniform(SCALE)
    scale_y = scale_x * (1 + uniform(STRETCH))
    shift = 2 * SHIFT_PIXELS / height  # affine_grid measures in half widths
    row_x = [angle.cos() / scale_x, -angle.sin() / scale_x + uniform(SHEAR), uniform(shift)]
    row_y = [angle.sin() / scale_y, angle.cos() / scale_y, uniform(shift)]
    matrix = torch.stack([torch.stack(row_x, dim=1), torch.stack(row_y, dim=1)], dim=1)
    grid = affine_grid(matrix, list(images_u8.shape), align_corners=False)
    return grid_sample(images_u8.to(torch.float32), grid, align_corners=False)
