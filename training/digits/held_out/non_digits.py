"""Pictures that are not of one digit: what the service should say so of.

Letters that are drawn like a digit (O, I, l, S, Z, B, G, q, b, g, …) are left out: nobody could tell.
Nothing here is used to train on or to choose a threshold with.
"""

import math
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images

from training.data import Pixels
from training.digits.held_out import signs

SIDE = 140
LETTERS = "ACEFHKMNPRTVWXY" + "adefhkmnprtvwxy"
FONTS = (
    "DejaVuSans",
    "DejaVuSerif",
    "DejaVuSansMono",
    "DejaVuSans-Oblique",
    "DejaVuSerif-Bold",
    "STIXGeneral",
)

Draw = Callable[[np.random.Generator], Image.Image]


def letter(random: np.random.Generator) -> Image.Image:
    """A letter of a font, turned a little."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(folder / f"{random.choice(FONTS)}.ttf", int(random.integers(70, 110)))
    sheet = _sheet()
    text = str(random.choice(list(LETTERS)))
    ImageDraw.Draw(sheet).text((SIDE / 2, SIDE / 2), text, fill=0, font=font, anchor="mm")
    return sheet.rotate(float(random.uniform(-15, 15)), Image.Resampling.BICUBIC, fillcolor=255)


def scribble(random: np.random.Generator) -> Image.Image:
    """A long line that crosses itself many times."""
    steps = np.cumsum(random.normal(0, 1, (80, 2)), axis=0)
    path = np.stack([np.convolve(steps[:, axis], np.ones(5) / 5, "valid") for axis in (0, 1)], axis=1)
    path = 20 + (path - path.min(0)) / np.ptp(path, axis=0) * (SIDE - 40)
    sheet = _sheet()
    points = [tuple(point) for point in path.tolist()]
    ImageDraw.Draw(sheet).line(points, fill=0, width=int(random.integers(3, 9)), joint="curve")
    return sheet


def shape(random: np.random.Generator) -> Image.Image:
    """A polygon, star, fork, grid or arrow; no circle and no single line: those are 0 and 1."""
    sheet = _sheet()
    drawing = ImageDraw.Draw(sheet)
    width, turn = int(random.integers(4, 14)), float(random.uniform(0, 2 * math.pi))

    def around(count: int, radius: float = 50, every: int = 1) -> list[tuple[float, float]]:
        angles = [turn + 2 * math.pi * every * i / count for i in range(count + 1)]
        return [(SIDE / 2 + radius * math.cos(a), SIDE / 2 + radius * math.sin(a)) for a in angles]

    match int(random.integers(6)):
        case 0:
            drawing.line(around(int(random.integers(3, 6))), fill=0, width=width, joint="curve")
        case 1:
            drawing.line(around(5, every=2), fill=0, width=width, joint="curve")
        case 2:
            for point in around(3):
                drawing.line([(SIDE / 2, SIDE / 2), point], fill=0, width=width)
        case 3:
            for at in (40, 70, 100):
                drawing.line([(at, 25), (at, 115)], fill=0, width=width)
                drawing.line([(25, at), (115, at)], fill=0, width=width)
        case 4:
            drawing.polygon(around(int(random.integers(3, 7))), fill=0)
        case _:
            drawing.line([(30, 70), (110, 70)], fill=0, width=width)
            drawing.line([(85, 45), (110, 70), (85, 95)], fill=0, width=width)
            drawing.line([(55, 45), (30, 70), (55, 95)], fill=0, width=width)
    return sheet


def texture(random: np.random.Generator) -> Image.Image:
    """Noise in spots, stripes or checks."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    match int(random.integers(3)):
        case 0:
            count = int(random.integers(5, 35))
            spots = Image.fromarray(random.integers(0, 256, (count, count), dtype=np.uint8))
            return spots.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        case 1:
            angle, per_side = random.uniform(0, math.pi), random.uniform(3, 12)
            waves = np.sin(2 * math.pi * per_side * (x * math.cos(angle) + y * math.sin(angle)))
            return Image.fromarray((127 + 100 * waves).astype(np.uint8))
        case _:
            count = int(random.integers(3, 12))
            checks = ((x * count).astype(int) + (y * count).astype(int)) % 2
            return Image.fromarray((40 + 180 * checks).astype(np.uint8))


def photograph(random: np.random.Generator) -> Image.Image:
    """A part of one of scikit-learn's two photographs: a temple, a flower."""
    picture = load_sample_images().images[int(random.integers(2))]
    side = int(random.integers(80, 400))
    top, left = (int(random.integers(0, length - side)) for length in picture.shape[:2])
    return Image.fromarray(picture[top : top + side, left : left + side])


def two_digits(images_u8: Pixels) -> Draw:
    """Two digits side by side."""

    def draw(random: np.random.Generator) -> Image.Image:
        first, second = images_u8[random.integers(len(images_u8), size=2)]
        both = np.concatenate([first, second[:, 2:]], axis=1)
        return Image.fromarray(255 - both).resize((both.shape[1] * 4, 112), Image.Resampling.BICUBIC)

    return draw


def kinds(images_u8: Pixels) -> dict[str, Draw]:
    """Every kind by name. `images_u8 [N, 28, 28]`: digits to put side by side."""
    return {
        "letters": letter,
        "scribbles": scribble,
        "shapes": shape,
        "textures": texture,
        "photographs": photograph,
        "two digits": two_digits(images_u8),
        **signs.KINDS,
    }


# Shares that should be called no digit, where a bar is set.
BARS = {
    "two digits": 0.95,
    "letters by hand": 0.95,
    "symbols by hand": 0.95,
    "doodles": 0.95,
    "hands": 0.95,
    "empty cells": 0.99,
    "one line at the edge": 0.99,
}


def _sheet() -> Image.Image:
    return Image.new("L", (SIDE, SIDE), 255)
