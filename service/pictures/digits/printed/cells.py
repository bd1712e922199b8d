"""The lines of a printed cell along the borders of its picture: aslant by a little, crossed by strokes."""

from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from service.pictures.digits.components import Ints, Mask, box_of
from service.pictures.digits.morphology import Pixels, pixels_of
from service.pictures.digits.printed.rules import stands_free

# Of `peak`: from which level on ink is that of a line, and that of the digit.
LINE_LEVEL, DIGIT_LEVEL = 0.15, 0.4
# Of a side of the picture, at the most.
RING = 0.15  # how far from the border a line runs
SLANT = 0.05  # how far it strays from upright
WIDEST = 0.12  # how wide it is, with its fringe
# Of a line's length, at the least.
COVER = 0.9  # how much is ink
WITHIN = 0.6  # how much is within the picture
LEFT = 2  # in the order in which borders are looked at: no digit has a stroke there that stands apart
LOOKED_AT = 48  # of the rows that a line runs through
FRINGE = 2  # pixels on either side of a line
# A stroke lies along a line where more ink is across it. Nearer to its ends than RING, others meet it.
USUAL = 0.3  # the quantile of its rows that has the usual ink
THICKER = 1.8  # times as much
# Of a border, less is no stroke that reaches it; of a side, so wide is a line that leaves the picture.
STRAY, SLIVER = 0.01, 0.05
LEAST_SIDE = 0.3  # of the picture's longest side, of a digit within its lines

Grid = TypeVar("Grid", Pixels, Mask)


class Line(NamedTuple):
    """It runs through columns `first` to `last`, shifted by `shift [height]` in each row."""

    first: int
    last: int
    shift: Ints


def without_cell_lines(ink: Image.Image, peak: int) -> Image.Image:
    """Erase them where a digit stands within: they are no part of it where it ends before, or crosses them.

    What was cut off at the ink has strokes along its borders too, and reaches borders that have none.
    """
    if stands_free(ink):
        return ink
    pixels = pixels_of(ink)
    found = [_line_at_left(turned > LINE_LEVEL * peak) for turned in _turned(pixels)]
    if not any(found):
        return ink
    within = pixels.copy()
    for turned, line in zip(_turned(within), found, strict=True):
        if line:
            erase(turned, line, DIGIT_LEVEL * peak, _has_stroke_along(turned, line))
    return Image.fromarray(within) if _is_digit(within > DIGIT_LEVEL * peak, found) else ink


def _turned(pixels: Grid) -> tuple[Grid, ...]:
    """Views in which the upper, the lower, the left and the right border are the left one."""
    return pixels.T, pixels[::-1].T, pixels, pixels[:, ::-1]


def _line_at_left(on_ink: Mask) -> Line | None:
    """Of all slants, the one along which most columns are covered; part may lie beyond the border."""
    height, width = on_ink.shape
    reach, ring = max(1, round(SLANT * height / 2)), round(RING * width)
    rows = np.linspace(0, height - 1, min(height, LOOKED_AT)).astype(np.intp)
    band = np.ones((len(rows), ring + 3 * reach), dtype=np.bool_)
    seen = on_ink[rows, : ring + reach]
    seen[:, 1:] |= seen[:, :-1]  # slants lie between pixels, too
    band[:, 2 * reach : 2 * reach + seen.shape[1]] = seen
    slants = np.arange(-reach, reach + 1)[:, None]
    columns = _shifts(slants, rows, height)[:, :, None] + np.arange(-reach, ring)
    hits = band[np.arange(len(rows))[:, None], columns + 2 * reach]
    covered = hits[:, :2].any(axis=1) & hits[:, -2:].any(axis=1) & (hits.mean(axis=1) >= COVER)
    covered &= (columns >= 0).mean(axis=1) >= WITHIN
    best = int(covered.sum(axis=1).argmax())
    places = np.flatnonzero(covered[best]) - reach
    if not len(places) or places[-1] - places[0] >= WIDEST * width:
        return None
    shift = _shifts(slants[best], np.arange(height), height)
    return Line(int(places[0]), max(int(places[0]), int(places[-1]) - 1), shift)


def _shifts(slants: Ints, rows: Ints, height: int) -> Ints:
    """How far each row is shifted, that many pixels at both ends."""
    shifts: Ints = np.round(slants * (2 * rows / max(1, height - 1) - 1)).astype(np.intp)
    return shifts


def _has_stroke_along(pixels: Pixels, line: Line) -> Mask:
    """In which rows a roof or a foot of the digit lies on the line or its fringe.

    How much ink there is across a line depends neither on its slant nor on how blurred it is.
    """
    columns, within = _columns(line, pixels.shape)
    ink = np.where(within, np.take_along_axis(pixels, columns, axis=1), 0).sum(axis=1, dtype=np.int64)
    found: Mask = ink > THICKER * np.quantile(ink, USUAL)
    ends = round(RING * len(found))
    found[:ends] = found[len(found) - ends :] = False
    return found


def erase(pixels: Pixels, line: Line, level: float, spared: Mask | None = None) -> None:
    """Every pixel becomes the weaker of the two on either side, so that strokes which cross it go on.

    Strokes that end in it, above that `level`, do so at its far side: feet and roofs lie on it. `spared`:
    rows that stay as they are.
    """
    height, width = pixels.shape
    rows = np.arange(height)
    after = pixels[rows, _inside(line, width)]
    first = line.first - FRINGE + line.shift
    before = np.where(first > 0, pixels[rows, np.clip(first - 1, 0, width - 1)], 0)
    columns, erased = _columns(line, pixels.shape)
    erased &= ((after <= level) | (before > level))[:, None]
    if spared is not None:
        erased &= ~spared[:, None]
    across = np.broadcast_to(np.minimum(before, after)[:, None], columns.shape)
    pixels[np.broadcast_to(rows[:, None], columns.shape)[erased], columns[erased]] = across[erased]


def _columns(line: Line, shape: tuple[int, ...]) -> tuple[Ints, Mask]:
    """Of every row, those of the line and its fringe; and which of them are within the picture."""
    columns = line.shift[:, None] + np.arange(line.first - FRINGE, line.last + FRINGE + 1)
    within: Mask = (columns >= 0) & (columns < shape[1])
    return np.clip(columns, 0, shape[1] - 1), within


def _inside(line: Line, width: int) -> Ints:
    """In every row, the column right inside of it."""
    return np.clip(line.last + FRINGE + 1 + line.shift, 0, width - 1)


def _is_digit(on_ink: Mask, lines: list[Line | None]) -> bool:
    """Whether what is within is large, and what was erased no stroke of it.

    A digit that was cut off at the ink reaches the border across from such a stroke, along which no line
    ran; and it touches that stroke, though strokes may stand apart where there is but one.
    """
    if not on_ink.any():
        return False
    _, top, _, bottom = box_of(on_ink)
    if bottom - top < LEAST_SIDE * max(on_ink.shape):
        return False
    turned = _turned(on_ink)
    strokes = [
        _touches(turned[side], line)
        for side, line in enumerate(lines)
        if line and not lines[side ^ 1] and _reaches(turned[side ^ 1])
    ]
    alone = sum(line is not None for line in lines) == 1 and not lines[LEFT]
    return not (strokes if alone else any(strokes))


def _touches(on_ink: Mask, line: Line) -> bool:
    height, width = on_ink.shape
    return bool(on_ink[np.arange(height), _inside(line, width)].any())


def _reaches(on_ink: Mask) -> bool:
    """Whether strokes reach the left border, rather than lie along it."""
    edge, within = on_ink[:, : 1 + FRINGE].any(axis=1), on_ink[:, round(SLIVER * on_ink.shape[1])]
    return bool(min(edge.mean(), within.mean()) > STRAY)
