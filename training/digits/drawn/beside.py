"""Digits that have something beside them: a full stop, what a stroke leads on to, what is left of a line.

They are digits all the same, and learnt as such by what tells what is no digit (`detector`).
"""

import numpy as np
import torch
from PIL import Image, ImageDraw
from rich.console import Console
from rich.progress import track
from torch import Tensor

from training.data import Pixels
from training.digits.drawn.hand import SHEET, Floats, Random, outline_of
from training.digits.drawn.prepared import Draw, prepared

HIGH = (50, 85)  # pixels of a sheet: the longer side of a digit
TWO = 0.1  # share of the digits that have two things beside them
LINES = 0.4  # share of these things that are left of a line; the others are marks of the pen
ON_THE_RIGHT = 0.8  # share of the marks
STEPS = 6  # points of a mark
DIMMEST = 90  # what is left of a line, of 255


def digits_with_something_beside(digits_u8: Tensor, count: int, seed: int, console: Console) -> Tensor:
    """`digits_u8 [N, 1, 28, 28]`, to choose from; → `images_u8 [count, 1, 28, 28]`.

    3 ms each on one core; `console` shows how far it is.
    """
    random, draw = np.random.default_rng(seed), with_something_beside(digits_u8[:, 0].numpy())
    shown = track(range(count), "drawing digits with something beside them", console=console)
    images = [torch.from_numpy(prepared(draw, random)) for _ in shown]
    return torch.stack(images)[:, None] if images else digits_u8[:0]


def with_something_beside(digits_u8: Pixels) -> Draw:
    """`digits_u8 [N, 28, 28]`: one of them, enlarged."""

    def draw(random: Random) -> Image.Image:
        chosen = Image.fromarray(digits_u8[random.integers(len(digits_u8))])
        digit = chosen.crop(chosen.getbbox())
        scale = random.uniform(*HIGH) / max(digit.size)
        digit = digit.resize([max(4, round(side * scale)) for side in digit.size], Image.Resampling.BICUBIC)
        sheet = Image.new("L", (SHEET, SHEET))
        sheet.paste(digit, ((SHEET - digit.width) // 2, (SHEET - digit.height) // 2))
        half, pen = np.array(digit.size) / 2, _pen(digit)
        for _ in range(1 + (random.random() < TWO)):
            (_line if random.random() < LINES else _mark)(ImageDraw.Draw(sheet), half, pen, random)
        return sheet

    return draw


def _mark(drawing: ImageDraw.ImageDraw, half: Floats, pen: float, random: Random) -> None:
    """A dot, a tick or a short stroke beside the foot, about as wide as the digit's own.

    `half [2]`: the digit's width and height, halved; its middle is that of the sheet.
    """
    long = 2 * half.max()
    side = 1 if random.random() < ON_THE_RIGHT else -1
    away, lower = pen / 2 + long * random.uniform(0.04, 0.25), long * random.uniform(-0.25, 0.1)
    along = np.linspace(0, 1, STEPS)
    fall = random.uniform(-1.2, 1.2) * along + random.uniform(-0.3, 0.3) * np.sin(np.pi * along)
    reach = long * random.uniform(0, 0.18) * np.stack([along, fall], axis=1)
    points = half + np.array([away, lower]) + reach
    _stroke(drawing, points * (side, 1), pen * random.uniform(0.7, 1.1), 255)


def _line(drawing: ImageDraw.ImageDraw, half: Floats, pen: float, random: Random) -> None:
    """A part of a cell's border along one of the four sides, thinner than the digit's strokes."""
    long = 2 * half.max()
    across = int(random.integers(2))  # 0 of an upright line, 1 of a level one
    away = half[across] + pen + long * random.uniform(0.03, 0.25)
    begin = random.uniform(-0.6, 0.5) * long
    along = np.array([begin, begin + random.uniform(0.12, 0.7) * long])
    points = np.empty((2, 2))
    points[:, across] = random.choice((-1, 1)) * away + random.uniform(-0.04, 0.04) * along
    points[:, 1 - across] = along
    wide = max(1.0, pen * random.uniform(0.25, 0.8))
    _stroke(drawing, points, wide, int(random.integers(DIMMEST, 256)))


def _stroke(drawing: ImageDraw.ImageDraw, points: Floats, wide: float, level: int) -> None:
    """With round ends, through points from the sheet's middle."""
    placed = [(x, y) for x, y in (points + SHEET / 2).tolist()]
    drawing.line(placed, fill=level, width=max(1, round(wide)), joint="curve")
    for end in (placed[0], placed[-1]):
        drawing.circle(end, wide / 2, fill=level)


def _pen(digit: Image.Image) -> float:
    """About how wide its strokes are, in pixels: twice the ink over the outline."""
    ink = np.pad(np.asarray(digit) > 127, 1)
    outline = outline_of(ink)
    return max(2.0, 2 * np.count_nonzero(ink) / outline) if outline else 2.0
