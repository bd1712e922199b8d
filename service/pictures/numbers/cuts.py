"""Where a part that may be several digits, which touch, can be cut: along lines that cross little ink."""

import numpy as np
from numpy.typing import NDArray

from service.pictures.digits.components import Ints, Mask, box_around
from service.pictures.numbers.parts import Part

WIDE = 0.65  # of the line's height: what is wider may be several
SLOPES = (0.0, 0.2, -0.2, 0.4, -0.4, 0.6)  # of cuts: pixels to the left a pixel downwards
# Of the line's height.
SLANTED = 0.1  # a slope of 1 counts as so much more ink
APART = 0.13  # the least that cuts are away from the ends of a part and from each other
CROSSED = 0.9  # the most ink that one crosses
EACH = 3  # cuts to one digit's width, at the most
MOST_CUTS = 14  # of a part


def pieces_of(part: Part, height: float) -> list[Part]:
    """From left to right; the part itself where it is narrow. `height`: of its line."""
    if part.width < WIDE * height:
        return [part]
    rows, columns = part.mask.nonzero()
    number = np.zeros(len(rows), dtype=np.intp)
    for at, slope in _cuts(part, rows, columns, height):
        number += _along(part, rows, columns, slope) >= at
    pieces = (_piece(part, rows[number == at], columns[number == at]) for at in range(number.max() + 1))
    return [piece for piece in pieces if piece]


def _along(part: Part, rows: Ints, columns: Ints, slope: float) -> Ints:
    """Where lines of this slope through pixels cross the middle of the part."""
    along: Ints = columns + np.round(slope * (rows - part.height / 2)).astype(np.intp)
    return along


def _cuts(part: Part, rows: Ints, columns: Ints, height: float) -> list[tuple[int, float]]:
    """Where they cross the middle of the part, and their slopes: those through the least ink first."""
    crossed = np.array([_crossed(part, rows, columns, slope, height) for slope in SLOPES])
    best, least = crossed.argmin(axis=0), crossed.min(axis=0)
    apart = max(1, round(APART * height))
    least[:apart] = least[-apart:] = np.inf
    most = min(MOST_CUTS, EACH * max(1, round(part.width / (0.6 * height))))
    cuts: list[tuple[int, float]] = []
    while len(cuts) < most and least.min() <= CROSSED * height:
        at = int(least.argmin())
        cuts.append((at, SLOPES[best[at]]))
        least[max(0, at - apart) : at + apart + 1] = np.inf
    return cuts


def _crossed(part: Part, rows: Ints, columns: Ints, slope: float, height: float) -> NDArray[np.float64]:
    """How much ink a line of this slope crosses, by where it crosses the middle of the part.

    What is around it counts a little, so that cuts go through the middle of a stroke between two digits.
    """
    along = _along(part, rows, columns, slope).clip(0, part.width - 1)
    counts = np.bincount(along, minlength=part.width).astype(np.float64)
    padded = np.pad(counts, 2, mode="edge")
    around = padded[:-4] + padded[1:-3] + padded[3:-1] + padded[4:]
    return counts + 0.1 * around + SLANTED * height * abs(slope)


def _piece(part: Part, rows: Ints, columns: Ints) -> Part | None:
    if not len(rows):
        return None
    left, top, right, bottom = box_around(rows, columns)
    mask: Mask = np.zeros((bottom - top, right - left), dtype=np.bool_)
    mask[rows - top, columns - left] = True
    x, y, *_ = part.box
    return Part((x + left, y + top, x + right, y + bottom), mask)
