"""Digits that stand side by side, where a picture of one was expected: told by the gaps between them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.pictures.digits.components import Box, Ints, Mask, box_around
from service.pictures.digits.morphology import pixels_of

SIDE = 56  # the longest side, in pixels, at which gaps are looked for

# What is so tall, over the height of all ink, is a digit beside another: strokes of one digit that hang
# together with nothing are shorter, or lie above each other.
TALL = 0.6
SLOPES = (0.0, 0.25, -0.25, 0.5)  # of the gaps, in pixels to the left a pixel downwards


def side_by_side(ink: Image.Image, level: float) -> list[Box]:
    """The boxes of two digits or more, from left to right; none where there may be but one.

    `ink`: L, cut off around what is above `level`. Of MNIST's digits one in some thousands seems to be two.
    """
    coarse = -(-max(ink.size) // SIDE)
    boxes = apart(pixels_of(ink.reduce(coarse)) > level)
    width, height = ink.size
    return [
        (coarse * left, coarse * top, min(width, coarse * right), min(height, coarse * bottom))
        for left, top, right, bottom in boxes
    ]


def apart(mask: Mask) -> list[Box]:
    """Likewise, of a mask `[height, width]` without a margin."""
    rows, columns = mask.nonzero()
    if not len(rows):
        return []
    least = max(2, TALL * len(mask))
    for slope in SLOPES:
        tall = [box for box in _between_gaps(rows, columns, slope) if box[3] - box[1] >= least]
        if len(tall) > 1:
            return tall
    return []


def _between_gaps(rows: Ints, columns: Ints, slope: float) -> Iterator[Box]:
    """Of all that lies between two gaps, which run from the top to the bottom of the ink."""
    along: NDArray[np.intp] = columns + np.round(slope * rows).astype(np.intp)
    along -= along.min()
    covered = np.bincount(along) > 0
    starts = np.flatnonzero(covered & ~np.concatenate([[False], covered[:-1]]))
    if len(starts) < 2:
        return
    of_pixel = starts.searchsorted(along, side="right") - 1
    for number in range(len(starts)):
        yield box_around(rows[of_pixel == number], columns[of_pixel == number])
