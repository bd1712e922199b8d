"""Strokes, written by a random hand with a random pen: slanted, stretched, bent, unsteady."""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Random = np.random.Generator
Floats = NDArray[Any]

SHEET = 160  # pixels a side
SPAN = 90  # pixels: the longest side of what is written, before the hand changes it
STEPS = 8  # points that a curve gets between two of its own
GRID = 9  # the coordinates of a skeleton: 0 to 9, to the right and down


class Stroke(NamedTuple):
    """`points [N, 2]`, x and y in shares of the skeleton's grid; at `corners` it turns sharply."""

    points: Floats
    corners: tuple[int, ...]


@cache
def skeleton(text: str) -> tuple[Stroke, ...]:
    """`"09 40 89|26 66"`: an A of two strokes, by points xy. Behind `~` a stroke is round, but at `!`."""
    strokes = []
    for part in text.split("|"):
        is_round, names = part.startswith("~"), part.removeprefix("~").split()
        points = np.array([(int(name[0]), int(name[1])) for name in names]) / GRID
        corners = [at for at, name in enumerate(names) if not is_round or name.endswith("!")]
        strokes.append(Stroke(points, tuple(sorted({0, *corners, len(names) - 1}))))
    return tuple(strokes)


SLANT = 0.25  # of a line's height, at most, to either side


class Hand:
    """One way to write; every sign that it writes is a little different."""

    def __init__(
        self,
        random: Random,
        *,
        degrees: float = 10,
        unsteady: float = 0.035,
        pen: tuple[float, float] = (3, 15),
    ) -> None:
        """`unsteady`: of a skeleton's points, in shares of its size. `pen`: in pixels, of SPAN."""
        angle = math.radians(random.uniform(-degrees, degrees))
        self._turn = rotation(angle)
        self._turn = np.array([[1, 0], [random.uniform(-SLANT, SLANT), 1]]) @ self._turn
        self._stretch = np.array([random.uniform(0.6, 1.15), 1.0])
        self._bend = random.normal(0, 0.03, (2, 2)), random.uniform(0, 2 * math.pi, 2)
        self._unsteady = unsteady
        self.pen = math.exp(random.uniform(math.log(pen[0]), math.log(pen[1])))
        self._random = random

    def paths(self, strokes: tuple[Stroke, ...]) -> list[Floats]:
        """The points `[M, 2]` of every stroke about its middle, in shares of the skeleton's size."""
        return [self._bent(self._rounded(stroke)) for stroke in strokes]

    def write(self, strokes: tuple[Stroke, ...]) -> Image.Image:
        """Light on black, somewhere about the middle of a sheet."""
        return ink_of([SPAN * path + SHEET / 2 for path in self.paths(strokes)], self.pen)

    def _rounded(self, stroke: Stroke) -> Floats:
        points = stroke.points + self._random.normal(0, self._unsteady, stroke.points.shape)
        pieces = zip(stroke.corners, stroke.corners[1:], strict=False)
        return np.concatenate([_smooth(points[first : last + 1]) for first, last in pieces])

    def _bent(self, points: Floats) -> Floats:
        points = (points - 0.5) * self._stretch
        amounts, phases = self._bend
        points = points + np.sin(5 * points[:, ::-1] + phases) @ amounts
        bent: Floats = points @ self._turn
        return bent


def rotation(angle: float) -> Floats:
    """The matrix by which points `[N, 2]` are multiplied to turn them by so many radians about 0, 0."""
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def ink_of(paths: list[Floats], pen: float) -> Image.Image:
    """Lines with round ends through points in pixels of the sheet."""
    sheet = Image.new("L", (SHEET, SHEET))
    drawing = ImageDraw.Draw(sheet)
    for path in paths:
        points = [(x, y) for x, y in path.tolist()]
        drawing.line(points, fill=255, width=round(pen), joint="curve")
        for end in (points[0], points[-1]):
            drawing.circle(end, pen / 2, fill=255)
    return sheet


def outline_of(ink: Floats) -> float:
    """The length in pixels of the outline of `ink`, bool [H, W]; of a stroke it is twice the stroke."""
    # Counted in steps along the pixels, it is longer than it is.
    return 0.85 * sum(np.count_nonzero(np.diff(ink, axis=axis)) for axis in (0, 1))


def _smooth(points: Floats) -> Floats:
    """A Catmull-Rom spline through the points."""
    if len(points) == 2:
        straight: Floats = points[0] + np.linspace(0, 1, STEPS)[:, None] * (points[1] - points[0])
        return straight
    around = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    before, start, end, after = (around[at : len(around) - 3 + at, None] for at in range(4))
    t = np.linspace(0, 1, STEPS)[None, :, None]
    curve: Floats = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return curve.reshape(-1, 2)


def warped(
    picture: Image.Image, random: Random, *, degrees: float = 12, slant: float = 0.2, bend: float = 0.04
) -> Image.Image:
    """A picture turned, slanted, stretched and bent at random, with room around it."""
    width, height = picture.size
    margin = 0.25 * max(width, height)
    columns, rows, cells = width + 2 * margin, height + 2 * margin, 4
    angle = math.radians(random.uniform(-degrees, degrees))
    shear, narrow = random.uniform(-slant, slant), random.uniform(0.85, 1.25)
    turn = rotation(angle)
    at = np.stack(np.meshgrid(np.linspace(0, 1, cells + 1), np.linspace(0, 1, cells + 1)), axis=2)
    knots = (at - 0.5) * (columns, rows)
    knots = (knots * (narrow, 1)) @ np.array([[1, 0], [shear, 1]]) @ turn + (width / 2, height / 2)
    knots = knots + random.normal(0, bend * max(width, height), knots.shape)
    size = (round(columns), round(rows))
    mesh = [
        (
            (*np.round(at[y, x] * size).astype(int), *np.round(at[y + 1, x + 1] * size).astype(int)),
            (*knots[y, x], *knots[y + 1, x], *knots[y + 1, x + 1], *knots[y, x + 1]),
        )
        for y in range(cells)
        for x in range(cells)
    ]
    return picture.transform(size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
