"""What is no digit, by other hands than training's: letters and symbols, things, hands, empty cells."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from training.digits.drawn.hand import Floats, Random, skeleton
from training.digits.drawn.letters import HELD_OUT_STROKES as LETTERS
from training.digits.drawn.symbols import HELD_OUT_STROKES as SYMBOLS
from training.digits.held_out.paper import any_sides, of_levels, photographed, with_cell_lines
from training.digits.held_out.writers import cover

# Drawn in strokes like the symbols, but nobody calls them so.
THINGS = frozenset(
    {
        *("house of Nicholas", "umbrella", "glasses", "key", "scissors", "car", "fork", "kite"),
        *("mountains", "cat"),
    }
)


def letter(random: Random) -> Image.Image:
    """A letter that was never trained on."""
    return _written(list(LETTERS.values()), random)


def symbol(random: Random) -> Image.Image:
    """Likewise."""
    return _written([text for name, text in SYMBOLS.items() if name not in THINGS], random)


def thing(random: Random) -> Image.Image:
    """A doodle."""
    return _written([SYMBOLS[name] for name in sorted(THINGS)], random)


def hand(random: Random) -> Image.Image:
    """A dark or light hand with two to five tapered fingers, on even ground."""
    sheet = Image.new("L", (140, 140))
    drawing = ImageDraw.Draw(sheet)
    turn = random.uniform(-0.4, 0.4) + random.choice([0, 0, math.pi / 2, -math.pi / 2])
    palm = random.uniform(18, 24)
    drawing.ellipse((70 - palm, 70 - 1.15 * palm, 70 + palm, 70 + 1.15 * palm), fill=255)
    spread = np.radians([-75, -28, -8, 12, 32]) * random.uniform(0.8, 1.2)
    for angle in spread[np.sort(random.permutation(5)[: random.integers(2, 6)])]:
        _taper(drawing, angle + turn, random.uniform(44, 60), 9, 5)
    _taper(drawing, math.pi + turn, random.uniform(45, 68), 15, 15)
    ground, skin = random.choice([(235, 90), (40, 190), (200, 60), (90, 220)])
    return of_levels(photographed(sheet, random, paper=ground, ink=skin, noise=3))


def empty_cell(random: Random) -> Image.Image:
    """Nothing but the lines of a printed cell, two to four."""
    return _cell(random, any_sides(random, 2, 4))


def one_line(random: Random) -> Image.Image:
    """Nothing but one line at the edge."""
    return _cell(random, any_sides(random, 1, 1))


KINDS: dict[str, Callable[[Random], Image.Image]] = {
    "letters by hand": letter,
    "symbols by hand": symbol,
    "doodles": thing,
    "hands": hand,
    "empty cells": empty_cell,
    "one line at the edge": one_line,
}


def _written(texts: list[str], random: Random) -> Image.Image:
    strokes = skeleton(texts[random.integers(len(texts))])
    paths = [_rounded(stroke.points + random.normal(0, 0.025, stroke.points.shape)) for stroke in strokes]
    high = int(random.integers(50, 120))
    ink = cover([path * (0.8, 1) for path in paths], high, high * random.uniform(0.03, 0.11), random)
    return of_levels(photographed(ink, random, paper=240, ink=random.uniform(20, 90), noise=3))


def _rounded(points: Floats) -> Floats:
    """Corners cut three times (Chaikin 1974), by little where the pen turns once and no more."""
    for _ in range(3):
        first, second = points[:-1], points[1:]
        cut = np.stack([0.85 * first + 0.15 * second, 0.15 * first + 0.85 * second], axis=1)
        points = np.concatenate([points[:1], cut.reshape(-1, 2), points[-1:]])
    return points


def _taper(drawing: ImageDraw.ImageDraw, angle: float, reach: float, root: float, tip: float) -> None:
    ahead, aside = (
        np.array([math.sin(angle), -math.cos(angle)]),
        np.array([math.cos(angle), math.sin(angle)]),
    )
    corners = [root * aside, reach * ahead + tip * aside, reach * ahead - tip * aside, -root * aside]
    drawing.polygon([(70 + x, 70 + y) for x, y in np.array(corners).tolist()], fill=255)
    x, y = (70 + reach * ahead).tolist()
    drawing.circle((x, y), tip, fill=255)


def _cell(random: Random, sides: str) -> Image.Image:
    side = int(random.integers(36, 110))
    lines = with_cell_lines(Image.new("L", (side, side)), random, sides)
    paper = random.uniform(170, 250)
    return of_levels(photographed(lines, random, paper=paper, ink=0.35 * paper, noise=3))
