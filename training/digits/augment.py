"""Random distortions of training images. They belong to training alone: no archive contains them."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate, max_pool2d

from service.errors import BlankImage
from service.pictures.digits.mnist_form import INK_SIDE, SIDE
from service.pictures.digits.preparation import prepare
from training.data import Pixels

ROTATION_DEGREES = 15.0
SCALE = 0.12
STRETCH = 0.08
SHEAR = 0.20
SHIFT_PIXELS = 2.0
BEND_PIXELS = 1.5
BEND_KNOTS = 5

# What preparation leaves of the way in which a digit came: shares of the images, and how far at the most.
STROKE_SHARE, THICKER, THINNER = 0.35, 0.8, 0.5
LEAST_THICKER = 0.5  # of a pixel, where strokes are thickened by several
BLUR_SHARE = 0.25
COARSE_SHARE = 0.3
DISTORTED_SHARE = 0.6  # where not all are
COARSE_INK, COARSE_FRAME = (5.5, 12.0), (22.0, 36.0)  # sides, in its own and in MNIST's pixels
GAMMA_SHARE, GAMMA = 0.3, (0.6, 1.5)

WORKERS = 4  # processes at most, as an image takes as long to distort as to learn from
MARGIN = 8  # around an image, so that a frame can reach beyond it


def distort(images_u8: Tensor) -> Tensor:
    """Rotate, scale, shear, shift and bend every image by its own small random amounts.

    The bending is the elastic distortion of Simard, Steinkraus and Platt (2003), drawn as random shifts
    of a coarse grid of knots between which it is smooth.

    `images_u8 [N, 1, H, W]` → `f32 [N, 1, H, W]`, still in 0 to 255; what comes in from outside is 0.
    """
    matrix = _random_affine_matrices(images_u8)
    grid = affine_grid(matrix, list(images_u8.shape), align_corners=False) + _random_bends(images_u8)
    return grid_sample(images_u8.to(torch.float32), grid, align_corners=False)


def distort_as_prepared(images_u8: Tensor) -> Tensor:
    """`distort`, and then what scanners, cameras and pens do that preparation cannot take back.

    Strokes become thicker or thinner, edges blurred, pixels coarser, ink darker or lighter.
    """
    images = _with_other_strokes(distort(images_u8))
    blurred = avg_pool2d(avg_pool2d(images, 3, 1, 1), 3, 1, 1)
    images = images.lerp(blurred, _sometimes(images, BLUR_SHARE))
    return _with_other_gamma(coarsened(images))


def distort_most(images: Tensor) -> Tensor:
    """The first images of a batch `distort_as_prepared`, the rest `coarsened`."""
    most = int(len(images) * DISTORTED_SHARE)
    return torch.cat([distort_as_prepared(images[:most]), coarsened(images[most:])])


def _with_other_strokes(images: Tensor) -> Tensor:
    """Part of the way to the dilated or to the eroded image."""
    dilated, eroded = max_pool2d(images, 3, 1, 1), -max_pool2d(-images, 3, 1, 1)
    amount = _sometimes(images, STROKE_SHARE)
    thicker = images.lerp(dilated, THICKER * amount)
    thinner = images.lerp(eroded, THINNER * amount)
    return torch.where(_sometimes(images, 0.5) > 0, thicker, thinner)


def thickened(images: Tensor, most: Tensor) -> Tensor:
    """As if written by a broader pen: 1 to `most i64 [N]` times by a pixel on every side, or part of it.

    `[N, 1, 28, 28]`, 0 to 255 → f32, the same shape.
    """
    images = images.to(torch.float32)
    times = (torch.rand(len(images)) * most).long() + 1
    while (times > 0).any():
        amount = torch.empty(len(images)).uniform_(LEAST_THICKER, 1) * (times > 0)
        images = images.lerp(max_pool2d(images, 3, 1, 1), amount.view(-1, 1, 1, 1))
        times -= 1
    return images


def coarsened(images: Tensor) -> Tensor:
    """The first images of a batch as if they had come with few pixels, the rest as they are.

    `[N, 1, 28, 28]`, 0 to 255 → f32, the same shape and device.
    """
    few = int(len(images) * COARSE_SHARE)
    return torch.cat([on_few_pixels(images[:few]), images[few:].to(torch.float32)])


def on_few_pixels(images: Tensor) -> Tensor:
    """All of them as if they had come with few pixels, prepared as the service does.

    `[N, 1, 28, 28]`, 0 to 255 → f32, the same shape and device.
    """
    if len(images) == 0:
        return images.to(torch.float32)
    pictures = images[:, 0].round().to(torch.uint8).cpu().numpy()
    least, most = COARSE_INK
    # Squared: the fewest pixels are the hardest to read, and drawn more often.
    ink_sides = (least + (most - least) * torch.rand(len(images)) ** 2).tolist()
    frames = torch.empty(len(images)).uniform_(*COARSE_FRAME).tolist()
    places = torch.rand(len(images), 2).tolist()
    drawn = zip(pictures, ink_sides, frames, places, strict=True)
    prepared = np.stack([_with_few_pixels(*picture) for picture in drawn])
    return torch.from_numpy(prepared[:, None]).to(images.device, torch.float32)


def _with_few_pixels(image_u8: Pixels, ink_side: float, frame: float, place: Sequence[float]) -> Pixels:
    """`image_u8 [28, 28]` cut out with a frame of so many of its pixels, 20 of ink as `ink_side`."""
    margin = (frame - INK_SIDE) / 2
    left, top = (MARGIN + SIDE / 2 - frame / 2 + (2 * at - 1) * 0.5 * margin for at in place)
    side = max(1, round(ink_side * frame / INK_SIDE))
    sheet = Image.fromarray(np.pad(image_u8, MARGIN))
    picture = sheet.resize((side, side), Image.Resampling.BOX, box=(left, top, left + frame, top + frame))
    try:
        return prepare(picture).image_u8()
    except BlankImage:
        return image_u8


def _with_other_gamma(images: Tensor) -> Tensor:
    low, high = GAMMA
    gamma = torch.where(
        _sometimes(images, GAMMA_SHARE) > 0, low + (high - low) * torch.rand_like(images[:, :, :1, :1]), 1.0
    )
    peak = images.amax((1, 2, 3), keepdim=True).clamp_min(1)
    return 255 * (images / peak).clamp(0, 1) ** gamma


def _sometimes(images: Tensor, share: float) -> Tensor:
    """`f32 [N, 1, 1, 1]`: a random amount, 0 to 1, for this share of the images, and 0 for the others."""
    draw = torch.rand_like(images[:, :, :1, :1])
    return torch.where(draw < share, draw / share, 0.0)


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
