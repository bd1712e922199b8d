"""MNIST's digits, some of them redrawn as its writers seldom wrote them.

Those had learnt to write in the United States. Elsewhere a 1 has a flag and often a foot, a 7 a bar through
its stem, a 9 ends in a curl, and a 4 stands on a short stem. A net that hardly saw them reads such a 1 as
7, such a 9 as 3 and such a 4 as 6, though it is nearly always right on MNIST. What cannot be had from its
digits at all is drawn anew (`drawn`).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from rich.console import Console

from service.pictures.digits.mnist_form import SIDE
from service.pictures.digits.preparation import prepare
from training.data import Pixels, Rows
from training.digits.drawn.digits import drawn_digits
from training.digits.drawn.hand import Random, outline_of

FINE = 4  # strokes are drawn so much finer than MNIST's pixels
MARGIN = 14  # MNIST's pixels around an image that a stroke may reach

Point = tuple[float, float]  # x, y in MNIST's pixels


class Digit:
    """One of MNIST's digits, `image_u8 [28, 28]`, and where its ink lies. Lengths are in pixels."""

    def __init__(self, image_u8: Pixels) -> None:
        self.image_u8 = image_u8
        self.ink = image_u8 > 127
        self.top, self.bottom = (int(row) for row in np.flatnonzero(self.ink.any(1))[[0, -1]])
        self.height = self.bottom - self.top + 1
        self.pen = max(1.2, 2 * image_u8.sum() / 255 / outline_of(self.ink))

    def middle(self, row: int) -> float:
        """The x of the ink about this row."""
        columns = np.flatnonzero(self.ink[row - 1 : row + 2].any(0))
        return float(columns.mean()) + 0.5 if len(columns) else SIDE / 2

    def with_strokes(self, strokes: Sequence[Sequence[Point]], random: Random) -> Pixels:
        """Drawn with about the same pen, with round ends, and prepared as the service does."""
        side, width = FINE * (SIDE + 2 * MARGIN), FINE * self.pen * random.uniform(0.75, 1.0)
        sheet = Image.fromarray(np.pad(self.image_u8, MARGIN)).resize((side, side))
        drawing = ImageDraw.Draw(sheet)
        for stroke in strokes:
            points = [(FINE * (x + MARGIN), FINE * (y + MARGIN)) for x, y in stroke]
            drawing.line(points, fill=255, width=round(width), joint="curve")
            for end in (points[0], points[-1]):
                drawing.circle(end, width / 2, fill=255)
        return _prepared(sheet)


def flagged(digit: Digit, random: Random) -> Pixels:
    """A 1 with a flag, perhaps with a foot. A long flag falls steeply: otherwise it would be a 7."""
    upper, lower = digit.middle(digit.top + 1), digit.middle(digit.bottom - 1)
    start, reach = digit.top + digit.pen / 2, digit.height * random.uniform(0.15, 0.6)
    slope = math.radians(random.uniform(20 if reach < 0.4 * digit.height else 35, 70))
    strokes = [[(upper, start), (upper - reach * math.cos(slope), start + reach * math.sin(slope))]]
    if random.random() < 0.3:
        half, level = digit.height * random.uniform(0.15, 0.4), digit.bottom + 0.5 - digit.pen / 2
        strokes.append([(lower - half, level), (lower + half, level)])
    return digit.with_strokes(strokes, random)


def barred(digit: Digit, random: Random) -> Pixels:
    """A 7 with a bar through its stem, perhaps with a serif where it begins."""
    row = int(digit.top + digit.height * random.uniform(0.45, 0.65))
    x, half = digit.middle(row), digit.height * random.uniform(0.15, 0.35)
    tilt = math.radians(random.uniform(-20, 20))
    across, up = half * math.cos(tilt), half * math.sin(tilt)
    strokes = [[(x - across, row + 0.5 + up), (x + across, row + 0.5 - up)]]
    if random.random() < 0.3:
        left = int(np.flatnonzero(digit.ink.any(0))[0])
        level = np.flatnonzero(digit.ink[:, left : left + 2].any(1))[0] + 0.5
        drop = digit.height * random.uniform(0.1, 0.25)
        strokes.append([(left + 0.7, level - 0.3 * drop), (left + 0.7 - 0.3 * drop, level + drop)])
    return digit.with_strokes(strokes, random)


def curled(digit: Digit, random: Random) -> Pixels:
    """A 9 whose stem ends in a curl to the left."""
    x, y = digit.middle(digit.bottom), digit.bottom + 0.5 - digit.pen / 2
    reach = digit.height * random.uniform(0.3, 0.8)
    drop, lift = digit.height * random.uniform(0, 0.2), digit.height * random.uniform(-0.05, 0.25)
    turn = (x - reach * random.uniform(0.1, 0.5), y + 1.6 * drop)
    return digit.with_strokes([_curve((x, y), turn, (x - reach, y + drop - lift))], random)


def roofed(digit: Digit, random: Random) -> Pixels:
    """A 5 whose upper bar goes on to the right."""
    head = digit.ink[digit.top : digit.top + max(3, digit.height // 4)]
    right = int(np.flatnonzero(head.any(0))[-1])
    level = np.flatnonzero(head[:, right]).mean() + digit.top + 0.5
    reach, tilt = digit.height * random.uniform(0.15, 0.5), math.radians(random.uniform(-10, 25))
    end = (right + 0.5 + reach * math.cos(tilt), level - reach * math.sin(tilt))
    return digit.with_strokes([[(right - 0.5, level), end]], random)


def slashed(digit: Digit, random: Random) -> Pixels:
    """A 0 with a bar through it, from within or from beyond."""
    columns = np.flatnonzero(digit.ink.any(0))
    x, y = float(columns.mean()) + 0.5, digit.top + digit.height / 2
    half, tilt = digit.height * random.uniform(0.3, 0.7), math.radians(random.uniform(30, 75))
    across, up = half * math.cos(tilt), half * math.sin(tilt)
    if random.random() < 0.15:
        across = -across
    return digit.with_strokes([[(x - across, y + up), (x + across, y - up)]], random)


def short_stemmed(digit: Digit, random: Random) -> Pixels:
    """A 4 whose stem ends shortly below the bar, which is taken to be the lowest of the widest rows."""
    first = digit.top + digit.height * 2 // 5
    rows = digit.ink[first : digit.bottom + 1]
    widths = np.where(rows.any(1), SIDE - rows.argmax(1) - rows[:, ::-1].argmax(1), 0)
    below = first + int(np.flatnonzero(widths >= widths.max() - 1)[-1]) + 1
    share = random.uniform(0.25, 0.6)
    stem = max(1, round(FINE * share * (digit.bottom + 1 - below)))
    picture, width = Image.fromarray(digit.image_u8), FINE * SIDE
    sheet = Image.new("L", (width, FINE * below + stem + FINE * MARGIN))
    sheet.paste(picture.resize((width, FINE * below), box=(0, 0, SIDE, below)))
    sheet.paste(
        picture.resize((width, stem), box=(0, below, SIDE, max(below, digit.bottom) + 1)), (0, FINE * below)
    )
    return _prepared(sheet)


# For each style the digit that it is a way to write, and how many of MNIST's are written so again.
STYLES: dict[Callable[[Digit, Random], Pixels], tuple[int, float]] = {
    flagged: (1, 0.3),
    barred: (7, 0.2),
    curled: (9, 0.2),
    roofed: (5, 0.1),
    short_stemmed: (4, 0.2),
    slashed: (0, 0.1),
}


def with_other_styles(rows: Rows, console: Console | None = None) -> Rows:
    """`rows` of digits and, behind them, some again in other styles, and such as MNIST has not.

    All are drawn by one seed, of its own; `console` shows how far it is.
    """
    random = np.random.default_rng(0)
    images, labels = [rows.inputs], [rows.targets]
    for style, (label, share) in STYLES.items():
        candidates_u8 = rows.inputs[rows.targets == label, 0].numpy()
        chosen = random.permutation(len(candidates_u8))[: round(share * len(candidates_u8))]
        redrawn = [style(Digit(candidates_u8[index]), random) for index in chosen]
        images += [torch.from_numpy(image_u8)[None, None] for image_u8 in redrawn]
        labels.append(rows.targets.new_full((len(redrawn),), label))
    drawn = drawn_digits(rows, random, console)
    images.append(drawn.inputs)
    labels.append(drawn.targets)
    return Rows(torch.cat(images), torch.cat(labels))


def _curve(start: Point, turn: Point, end: Point) -> list[Point]:
    """A quadratic Bézier curve."""
    at = np.linspace(0, 1, 12)[:, None]
    points = (1 - at) ** 2 * np.array(start) + 2 * at * (1 - at) * np.array(turn) + at**2 * np.array(end)
    return [(float(x), float(y)) for x, y in points]


def _prepared(sheet: Image.Image) -> Pixels:
    return prepare(sheet).image_u8().copy()
