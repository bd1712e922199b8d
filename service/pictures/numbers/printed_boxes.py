"""The boxes and grids of a form, around the digits that are written into them, and lines under them."""

import numpy as np
from numpy.typing import NDArray

from service.pictures.digits.components import Components, Ints, Mask, runs_in
from service.pictures.digits.morphology import dilated

Floats = NDArray[np.float64]

AROUND = 1.25  # times as wide and as high as each that stands in it, at the least, is what is printed
HOLLOW = 0.45  # of its box, at the most, is ink
LINE = 8.0  # times as long as it is thick is a line
LOW, LONG = 0.3, 1.5  # usual heights: what stands in a box is not lower; a line is not shorter

# Of a box's side.
COVER = 0.8  # the least ink of a row or column where a line is
THICK = 0.09  # the most that a line is thick
OUTER = 0.16  # the most that the outer ones are away from its ends

# A comb.
FLAT = 1.8  # times as wide as high, at the least
ITS_LINE = 0.8  # of its columns, at the least, cross only its line
STRAIGHT = 0.1  # of its height: the most that its line is off a straight one
TOOTH = 4.0  # times as thick as its line: the most that a tooth is wide


def printed(components: Components) -> Mask:
    """Which components are no digits: what others stand in, and long lines."""
    boxes = components.boxes().astype(np.float64)
    ink = components.sizes()
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    there = ink > 0
    usual = usual_height(high[there], ink[there])
    found = there & (wide >= LINE * np.maximum(1, high)) & (wide >= LONG * usual)
    others = np.flatnonzero(there & (high >= LOW * usual))
    x, y = ((boxes[others, :2] + boxes[others, 2:]) / 2).T
    hollow = ink <= HOLLOW * np.maximum(1, wide * high)
    for number in np.flatnonzero(there & hollow & (high >= 0.8 * usual)):
        left, top, right, bottom = boxes[number]
        inside = (x > left) & (x < right) & (y > top) & (y < bottom)
        smaller = (wide[others] * AROUND <= wide[number]) & (high[others] * AROUND <= high[number])
        found[number] |= bool((inside & smaller).any())
    return found


def usual_height(heights: Floats, ink: Ints) -> float:
    """The median over all ink: specks, which have little, hardly count."""
    order = heights.argsort()
    summed = np.cumsum(ink[order])
    return float(heights[order][summed.searchsorted(summed[-1] / 2)])


def is_comb(mask: Mask) -> bool:
    """Whether it is a line with teeth on it, or under it, that no digit touches; perhaps a bit slanted."""
    height, width = mask.shape
    if width < FLAT * height:
        return False
    thick = np.count_nonzero(mask, axis=0)
    usual = max(1.0, float(np.median(thick)))
    thin = (thick > 0) & (thick <= usual + 2)
    teeth = [end - start for start, end in runs_in(~thin)]
    if thin.mean() < ITS_LINE or len(teeth) < 2 or max(teeth) > TOOTH * usual:
        return False
    columns = np.flatnonzero(thin)
    levels = (mask[:, columns] * np.arange(height)[:, None]).sum(axis=0) / thick[columns]
    off = levels - np.polynomial.Polynomial.fit(columns, levels, 1)(columns)
    return bool(np.abs(off).max() <= STRAIGHT * height + 1)


def without_box(mask: Mask) -> Mask | None:
    """What is left of a part that touches the box or the grid around it; None where there is none.

    Where something crosses a line it is drawn through, as on lined paper.
    """
    lines = [_lines(mask if axis == 0 else mask.T) for axis in (0, 1)]
    if any(len(found) < 2 for found in lines):
        return None
    for found, length in zip(lines, mask.shape, strict=True):
        if found[0][0] > OUTER * length or found[-1][1] < (1 - OUTER) * length:
            return None
    left = mask.copy()
    for axis, found in enumerate(lines):
        across = left if axis == 0 else left.T
        for start, end in found:
            start, end = max(0, start - 1), min(len(across), end + 1)
            none = np.zeros(across.shape[1], dtype=np.bool_)
            before = across[start - 1] if start else none
            after = across[end] if end < len(across) else none
            across[start:end] = before & after
    return left


def _lines(mask: Mask) -> list[tuple[int, int]]:
    """Rows, from and to (exclusive), that are covered from end to end, and thin; perhaps a bit slanted."""
    runs = list(runs_in(dilated(mask, 1).mean(axis=1) >= COVER))
    thick = THICK * max(mask.shape) + 2
    return [] if any(end - start > thick for start, end in runs) else runs
