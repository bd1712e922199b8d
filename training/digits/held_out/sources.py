"""Digits as they come from elsewhere, one source for each kind: MNIST's test digits, and other writers'.

Each has the share that should be right, and the share of these that may be called no digit.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from training.data import Pixels
from training.digits.drawn.hand import Random
from training.digits.held_out import displays
from training.digits.held_out.paper import (
    any_sides,
    centred,
    jpeg,
    of_mnist,
    photographed,
    png,
    with_cell_lines,
)
from training.digits.held_out.writers import arc, cover, strokes

# `image_u8 [28, 28]` of MNIST's test images and its label → an encoded picture of that digit.
Draw = Callable[[Pixels, int, Random], bytes]


class Source(NamedTuple):
    """How its pictures are drawn, and the bars."""

    draw: Draw
    right: float
    flagged: float = 0.01


def transparent_margin(image_u8: Pixels, _label: int, random: Random) -> bytes:
    """A drawing, either way up, with 8 pixels around it that are transparent."""
    side = int(random.integers(84, 280))
    digit = np.asarray(centred(of_mnist(image_u8, side), (side + 20, side + 20), random), dtype=np.uint8)
    grey = Image.fromarray(digit if random.random() < 0.5 else 255 - digit)
    sheet = Image.new("RGBA", (grey.width + 16, grey.height + 16), (0, 0, 0, 0))
    sheet.paste(grey.convert("RGBA"), (8, 8))
    return png(sheet)


def stretched(image_u8: Pixels, label: int, random: Random) -> bytes:
    """Fitted to 16×16 black and white pixels in both directions. Half are by other writers."""
    ink = of_mnist(image_u8, 84)
    if random.random() < 0.5:
        ink = cover(strokes(label, random), 80, random.uniform(5, 12), random)
    fitted = np.asarray(ink.resize((64, 64), Image.Resampling.BILINEAR, box=ink.getbbox()))
    shares = fitted.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    return png(np.where(shares > 110, 0.0, 255.0))


def pencil_on_forms(image_u8: Pixels, label: int, random: Random) -> bytes:
    """Thin, grey and grainy, at 60 to 130 pixels; half by writers of long upstrokes, open 4s, barred 7s."""
    high = int(random.integers(50, 110))
    ink = cover(strokes(label, random, usual=0.3), high, random.uniform(1.5, 3.5), random)
    if random.random() < 0.5:
        ink = of_mnist(image_u8, round(high * 1.4), thinner=1)
    grain = np.asarray(ink, dtype=float) * random.uniform(0.65, 1.0, (ink.height, ink.width))
    return png(photographed(Image.fromarray(grain.astype(np.uint8)), random, paper=245, ink=80, noise=4))


def zip_code(image_u8: Pixels, label: int, random: Random) -> bytes:
    """A scan in black and white, cut out with its margin."""
    return png(_scan(image_u8, label, random, high=int(random.integers(40, 70))))


def zip_code_cut_closely(image_u8: Pixels, label: int, random: Random) -> bytes:
    """Likewise, cut at the ink, and bits of the digits beside it left."""
    scan = 255 - _scan(image_u8, label, random, high=int(random.integers(40, 70)))
    left, top, right, bottom = Image.fromarray(scan).getbbox() or (0, 0, *scan.shape[::-1])
    crop = np.pad(scan[top:bottom, left:right], 2)
    for edge in (0, -1):
        if random.random() < 0.3:
            at, length = random.integers(0, len(crop) // 2), int(random.integers(2, 8))
            crop[at : at + length, edge] = 255
    return png(Image.fromarray(255 - crop))


def zip_code_of_few_pixels(image_u8: Pixels, label: int, random: Random) -> bytes:
    """On 16×16 grey pixels."""
    scan = Image.fromarray(255 - _scan(image_u8, label, random, high=80))
    ink = scan.crop(scan.getbbox())
    wide = max(4, round(15 * min(1.0, ink.width / ink.height)))
    high = max(4, round(15 * min(1.0, ink.height / ink.width)))
    small = centred(ink.resize((wide, high), Image.Resampling.BOX), (16, 16), random, stray=0)
    return png(255 - np.asarray(small, dtype=float))


def cell_of_a_grid(image_u8: Pixels, label: int, random: Random) -> bytes:
    """Photographed, with lines of the grid left."""
    side = int(random.integers(36, 110))
    ink = centred(_either(image_u8, label, random, 0.75 * side), (side, side), random, 0.08)
    ink = with_cell_lines(ink, random, any_sides(random, 1, 4))
    ink = ink.filter(ImageFilter.GaussianBlur(random.uniform(0, 0.02) * side))
    paper = random.uniform(150, 235)
    levels = photographed(ink, random, paper=paper, ink=paper * random.uniform(0.2, 0.55), noise=5)
    return jpeg(levels, int(random.integers(50, 92)))


def cursive_crop(image_u8: Pixels, label: int, random: Random) -> bytes:
    """Slanted, with a stroke that leads on, cut roughly; zeros have a bar more often than not."""
    high = int(random.integers(50, 120))
    paths = strokes(label, random, usual=0.35)
    if label and random.random() < 0.25:
        paths.append(arc(0.8, 0.95, random.uniform(0.1, 0.2), 0.1, 180, 60))
    ink = cover(paths, high, random.uniform(2, 6), random)
    if label and random.random() < 0.4:
        side, slanted = round(1.4 * high), (1, 0.3, -0.2 * high, 0, 1, 0)
        ink = of_mnist(image_u8, side).transform(
            (side, side), Image.Transform.AFFINE, slanted, Image.Resampling.BICUBIC
        )
    return png(photographed(ink, random, paper=225, ink=60, noise=6))


def thin_pen(_image_u8: Pixels, label: int, random: Random) -> bytes:
    """A line of one to three pixels on a photograph of paper, 400 to 900 pixels a side."""
    side = int(random.integers(400, 900))
    ink = cover(
        strokes(label, random), int(side * random.uniform(0.35, 0.7)), random.uniform(1, 3.2), random
    )
    levels = photographed(
        centred(ink, (side, side), random), random, paper=random.uniform(190, 240), ink=50, noise=3
    )
    return jpeg(levels, int(random.integers(70, 95)))


def counter_or_display(_image_u8: Pixels, label: int, random: Random) -> bytes:
    """Wheels with printed digits, and displays of seven segments, in frames."""
    draw = displays.wheel if random.random() < 0.5 else displays.display
    return draw(label, random)


SOURCES = {
    "drawing with a transparent margin of 8 pixels": Source(transparent_margin, 0.994),
    "stretched to 16×16, black and white": Source(stretched, 0.975, 0.03),
    "pencil on forms": Source(pencil_on_forms, 0.994),
    "ZIP-code scans": Source(zip_code, 0.995),
    "ZIP-code scans, cut closely": Source(zip_code_cut_closely, 0.995),
    "ZIP-code scans on 16×16": Source(zip_code_of_few_pixels, 0.983, 0.015),
    "cells of printed grids, photographed": Source(cell_of_a_grid, 0.99),
    "cursive scans, rough crops": Source(cursive_crop, 0.95),
    "thin pen on paper, photographed": Source(thin_pen, 0.99),
    "counters and displays": Source(counter_or_display, 0.90),
}


def _either(image_u8: Pixels, label: int, random: Random, high: float) -> Image.Image:
    """The ink of MNIST's digit, or of another writer's, so high."""
    if random.random() < 0.6:
        return of_mnist(image_u8, round(1.4 * high))
    return cover(strokes(label, random), round(high), random.uniform(0.03, 0.09) * high, random)


def _scan(image_u8: Pixels, label: int, random: Random, high: int) -> Pixels:
    """Black and white, dark on light; open 8s and the like in a fifth."""
    ink = of_mnist(image_u8, round(1.4 * high))
    if random.random() < 0.2:
        ink = cover(strokes(label, random, usual=0.4), high, high * random.uniform(0.06, 0.14), random)
    rough = np.asarray(ink, dtype=float) + random.normal(0, 25, (ink.height, ink.width))
    return np.where(rough > 127, 0, 255).astype(np.uint8)
