"""Random distortions of training images. They belong to training alone: no archive contains them."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

ROTATION_DEGREES = 15.0
SCALE = 0.12
STRETCH = 0.08
SHEAR = 0.20
SHIFT_PIXELS = 2.0
BEND_PIXELS = 1.5
BEND_KNOTS = 5


def distort(images_u8: Tensor) -> Tensor:
    """Rotate, scale, shear, shift and bend every image by its own small random amounts.

    The bending is the elastic distortion of Simard, Steinkraus and Platt (2003), drawn as random shifts
    of a coarse grid of knots between which it is smooth.

    `images_u8 [N, 1, H, W]` → `f32 [N, 1, H, W]`, still in 0 to 255; what comes in from outside is 0.
    """
    matrix = _random_affine_matrices(images_u8)
    grid = affine_grid(matrix, list(images_u8.shape), align_corners=False) + _random_bends(images_u8)
    return grid_sample(images_u8.to(torch.float32), grid, align_corners=False)


def _random_affine_matrices(images_u8: Tensor) -> Tensor:
    """`f32 [N, 2, 3]`, from output to input coordinates, which run from -1 to 1."""
    count, _, height, _ = images_u8.shape

    def uniform(limit: float) -> Tensor:
        return torch.empty(count, device=images_u8.device).uniform_(-limit, limit)

    angle = uniform(math.radians(ROTATION_DEGREES))
    scale_x = 1 + uniform(SCALE)
    scale_y = scale_x * (1 + uniform(STRETCH))
    shift = 2 * SHIFT_PIXELS / height  # affine_grid measures in half widths
    row_x = [angle.cos() / scale_x, -angle.sin() / scale_x + uniform(SHEAR), uniform(shift)]
    row_y = [angle.sin() / scale_y, angle.cos() / scale_y, uniform(shift)]
    return torch.stack([torch.stack(row_x, dim=1), torch.stack(row_y, dim=1)], dim=1)


def _random_bends(images_u8: Tensor) -> Tensor:
    """`f32 [N, H, W, 2]`: how far each pixel is taken from its place, in the same coordinates."""
    count, _, height, width = images_u8.shape
    limit = 2 * BEND_PIXELS / height
    knots = torch.empty(count, 2, BEND_KNOTS, BEND_KNOTS, device=images_u8.device)
    knots.uniform_(-limit, limit)
    bends = interpolate(knots, size=(height, width), mode="bicubic", align_corners=True)
    return bends.permute(0, 2, 3, 1)
