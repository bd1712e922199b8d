"""Random distortions of training images, and ones with flags. They belong to training alone: no archive
contains them.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate, max_pool2d

from service.errors import BlankImage
from service.preparation import INK_SIDE, SIDE, prepare
from training.data import Rows

ROTATION_DEGREES = 15.0
SCALE = 0.12
STRETCH = 0.08
SHEAR = 0.20
SHIFT_PIXELS = 2.0
BEND_PIXELS = 1.5
BEND_KNOTS = 5

# What preparation leaves of the way in which a digit came: shares of the images, and how far at the most.
STROKE_SHARE, THICKER, THINNER = 0.35, 0.8, 0.5
BLUR_SHARE = 0.25
COARSE_SHARE = 0.1
COARSE_INK, COARSE_FRAME = (5.5, 12.0), (22.0, 36.0)  # sides, in its own and in MNIST's pixels
GAMMA_SHARE, GAMMA = 0.3, (0.6, 1.5)

# Ones with a flag: their share of MNIST's ones; how far the flag falls, and how long it is for a one of
# height 1; the share of those with a foot; and how much finer than a pixel they are drawn.
FLAGGED_SHARE, FLAG_DEGREES, FLAG_REACH, FOOT_SHARE, FINE = 0.1, (30.0, 65.0), (0.25, 0.5), 0.25, 4

MARGIN = 8  # around an image, so that a frame can reach beyond it

Pixels = NDArray[np.uint8]


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


def _with_other_strokes(images: Tensor) -> Tensor:
    """Part of the way to the dilated or to the eroded image."""
    dilated, eroded = max_pool2d(images, 3, 1, 1), -max_pool2d(-images, 3, 1, 1)
    amount = _sometimes(images, STROKE_SHARE)
    thicker = images.lerp(dilated, THICKER * amount)
    thinner = images.lerp(eroded, THINNER * amount)
    return torch.where(_sometimes(images, 0.5) > 0, thicker, thinner)


def coarsened(images: Tensor) -> Tensor:
    """The first images of a batch as if they had come with few pixels, prepared as the service does.

    `[N, 1, 28, 28]`, 0 to 255 → f32, the same shape and device.
    """
    images = images.to(torch.float32)
    few = images[: int(len(images) * COARSE_SHARE), 0]
    if len(few) == 0:
        return images
    pictures = few.round().to(torch.uint8).cpu().numpy()
    ink_sides = torch.empty(len(few)).uniform_(*COARSE_INK).tolist()
    frames = torch.empty(len(few)).uniform_(*COARSE_FRAME).tolist()
    places = torch.rand(len(few), 2).tolist()
    prepared = [_with_few_pixels(*drawn) for drawn in zip(pictures, ink_sides, frames, places, strict=True)]
    return torch.cat([torch.from_numpy(np.stack(prepared)[:, None]).to(images), images[len(few) :]])


def _with_few_pixels(image_u8: Pixels, ink_side: float, frame: float, place: Sequence[float]) -> Pixels:
    """`image_u8 [28, 28]` cut out with a frame of so many of its pixels, 20 of ink as `ink_side`."""
    margin = (frame - INK_SIDE) / 2
    left, top = (MARGIN + SIDE / 2 - frame / 2 + (2 * at - 1) * 0.5 * margin for at in place)
    side = max(1, round(ink_side * frame / INK_SIDE))
    sheet = Image.fromarray(np.pad(image_u8, MARGIN))
    picture = sheet.resize((side, side), Image.Resampling.BOX, box=(left, top, left + frame, top + frame))
    try:
        return np.frombuffer(prepare(picture).pixels, np.uint8).reshape(SIDE, SIDE)
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


def with_flagged_ones(rows: Rows) -> Rows:
    """`rows` of digits and, behind them, some of their ones again with a flag, drawn by a seed of its own.

    MNIST's writers, in the United States, wrote a 1 as a single stroke. In much of the world it has a flag,
    and often a foot: a net that never saw them reads a 7.
    """
    random = np.random.default_rng(0)
    ones_u8 = rows.inputs[rows.targets == 1, 0].numpy()
    chosen = random.permutation(len(ones_u8))[: round(FLAGGED_SHARE * len(ones_u8))]
    flagged = [torch.from_numpy(_flagged(ones_u8[one], random))[None] for one in chosen]
    if not flagged:
        return rows
    labels = torch.ones(len(flagged), dtype=rows.targets.dtype)
    return Rows(torch.cat([rows.inputs, torch.stack(flagged)]), torch.cat([rows.targets, labels]))


def _flagged(one_u8: Pixels, random: np.random.Generator) -> Pixels:
    """`one_u8 [28, 28]` with a flag on its upper end, perhaps a foot, and its mass back in the middle."""
    ink = one_u8 > 127
    top, bottom = np.flatnonzero(ink.any(1))[[0, -1]]
    height = bottom - top + 1
    upper, lower = (np.flatnonzero(ink[line : line + 2].any(0)).mean() + 0.5 for line in (top, bottom - 1))
    stroke = one_u8.sum() / 255 / math.hypot(height, upper - lower)
    slope, reach = math.radians(random.uniform(*FLAG_DEGREES)), height * random.uniform(*FLAG_REACH)
    width = stroke * random.uniform(0.7, 1.0)
    start = top + width / 2
    strokes = [(upper, start, upper - reach * math.cos(slope), start + reach * math.sin(slope))]
    if random.random() < FOOT_SHARE:
        half, level = height * random.uniform(0.15, 0.35), bottom + 0.5 - width / 2
        strokes.append((lower - half, level, lower + half, level))
    drawn = np.maximum(one_u8, _drawn(strokes, width))
    shift = round(SIDE / 2 + 0.5 - np.average(np.arange(SIDE) + 0.5, weights=drawn.sum(0)))
    return np.pad(drawn, ((0, 0), (MARGIN, MARGIN)))[:, MARGIN - shift : MARGIN - shift + SIDE]


def _drawn(strokes: Sequence[tuple[float, ...]], width: float) -> Pixels:
    """Lines with round ends, from x, y to x, y in pixels, on 28×28."""
    sheet = Image.new("L", (FINE * SIDE, FINE * SIDE))
    pen = ImageDraw.Draw(sheet)
    for line in strokes:
        pen.line([FINE * at for at in line], fill=255, width=max(1, round(FINE * width)))
        for x, y in (line[:2], line[2:]):
            pen.circle((FINE * x, FINE * y), FINE * width / 2, fill=255)
    return np.asarray(sheet.resize((SIDE, SIDE), Image.Resampling.BOX))
