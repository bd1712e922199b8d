"""Straight lines beside a digit that hang together with nothing of it.

Underlines, combs, what is left of boxes, and grids around it. A stroke of a digit that is apart from the
others, as the roof of a 5, the upright of a 4 and the segments of a display may be, is neither around them
nor reaches beyond them on both sides.
"""

import numpy as np
from numpy.typing import NDArray

from service.pictures.digits.components import Components, Ints, Mask
from service.pictures.digits.morphology import eroded

# A component that is a line.
STRAIGHT_SHARE = 0.92  # of its ink, at the least, is in straight parts
STRAIGHT = 0.3  # of its own sides: how long a part is that counts as straight
WIDEST = 0.1  # of the longest side of all ink: the most that it is wide
NARROW = 0.2  # of its length: the most that one is wide that counts as level or upright

# A component that goes around a digit: a zero around its slash has neither corners nor such lines.
CORNER = 0.1  # of its sides: so near to a corner of its box is ink
THROUGH = 0.8  # of its sides: so far its lines go, from end to end
LEAST_IN_ONE = 0.25  # of its height: the longest side of the digit in it, at the least

# Several lines that surround a digit together.
RING = 0.15  # of the box around all ink, on each side: where they lie
LEAST_WITHIN = 0.3  # of their height: that of the digit's highest component, at the least
AMID = 0.25  # of the larger of two opposite margins: the smaller, where lines are on three sides

# Lines beside a digit, in shares of its longest side.
BEYOND = 0.06  # the least that they reach beyond it
LONG, BELOW = 1.0, 0.1  # a single level line is so long, or so far below: the roof of a 5 is above
UPRIGHT_BEYOND = 0.2  # the least that a single upright one reaches beyond it
UPRIGHT_APART = 0.15  # the least that it is away: a stroke of a 4 is nearer
WHOLE = 0.5  # of the digit's height: that of its highest component, at the least
LEAST_INK = 0.04  # of the heaviest component's, has one that tells where the digit ends
MOST = 200  # components: more are grain, and each would be looked at for nothing


def lines_beside(components: Components, weights: NDArray[np.float64]) -> Mask:
    """Which of them are straight lines outside of the box around all others, where these are a digit.

    `weights`: of the components, 0 of those that count no longer.
    """
    counted: Mask = weights > LEAST_INK * weights.max()
    if np.count_nonzero(counted) < 2 or np.count_nonzero(weights) > MOST:
        return np.zeros_like(counted)
    boxes = components.boxes()
    lines = _lines(components, weights, boxes, _longest(_around(boxes[counted])))
    found = np.zeros_like(counted)
    if not lines.any():
        return found
    sides = boxes[:, 2:] - boxes[:, :2]
    level, upright = (lines & (sides[:, 1 - axis] <= NARROW * sides[:, axis]) for axis in (0, 1))
    numbers = np.arange(len(boxes))
    for number in np.flatnonzero(lines & ~level & ~upright).tolist():
        others = boxes[counted & (numbers != number)]
        found[number] = len(others) and _goes_around(components, number, boxes[number], others)
    counted &= ~found
    found |= _that_surround(components, lines & ~found, boxes, counted)
    counted &= ~found
    for axis, single in ((0, level & counted), (1, upright & counted)):
        for number in np.flatnonzero(single).tolist():
            rest = counted & ~single if (counted & ~single).any() else counted & (numbers != number)
            found[number] = rest.any() and _reaches_beyond(boxes[number], boxes[rest], axis)
            counted[number] = not found[number]
    return found


def _lines(components: Components, weights: NDArray[np.float64], boxes: Ints, longest: int) -> Mask:
    """Which are made of long level and upright parts alone, which may be aslant by a little, and narrow."""
    found = np.zeros(len(weights), dtype=np.bool_)
    widest = max(1, round(WIDEST * longest))
    for number in np.flatnonzero(weights).tolist():
        mask = components.alone(number, boxes[number])
        is_straight = _share_in_runs(mask, STRAIGHT) >= STRAIGHT_SHARE
        found[number] = is_straight and not eroded(mask, widest + 1).any()
    return found


def _share_in_runs(mask: Mask, length: float) -> float:
    """How much of it lies in level and upright runs of such a length, over its own."""
    high, wide = (max(2, round(length * side)) for side in mask.shape)
    in_runs = mask & (_in_runs(mask, wide) | _in_runs(mask.T, high).T)
    return np.count_nonzero(in_runs) / np.count_nonzero(mask)


def _in_runs(mask: Mask, least: int) -> Mask:
    """What lies in level runs of at least so many, which may go on in the next row."""
    if mask.shape[1] < least:
        return np.zeros_like(mask)
    wide = mask.copy()
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    counts = np.cumsum(np.pad(wide, ((0, 0), (1, 0))), axis=1)
    starts: Mask = np.pad(counts[:, least:] - counts[:, :-least] == least, ((0, 0), (least, least - 1)))
    begun = np.cumsum(starts, axis=1)
    found: Mask = begun[:, least:] > begun[:, :-least]
    return found


def _goes_around(components: Components, number: int, box: Ints, others: Ints) -> bool:
    """Whether one is on three sides of the digit at least, which lies between them."""
    left, top, right, bottom = digit = _around(others)
    overlaps = box[0] < right and left < box[2] and box[1] < bottom and top < box[3]
    is_large = (others[:, 2:] - others[:, :2]).max() >= LEAST_IN_ONE * (box[3] - box[1])
    if not overlaps or not is_large or np.count_nonzero(_free_sides(digit, box)) < 3:
        return False
    crosses = (components.groups == number) & (components.rows >= top) & (components.rows < bottom)
    crosses &= (components.ends > left) & (components.starts < right)
    return not crosses.any() and _has_corner(components.alone(number, box))


def _has_corner(mask: Mask) -> bool:
    y, x = (max(1, round(CORNER * side)) for side in mask.shape)
    corners = mask[:y, :x], mask[:y, -x:], mask[-y:, :x], mask[-y:, -x:]
    return any(corner.any() for corner in corners) or _share_in_runs(mask, THROUGH) >= STRAIGHT_SHARE


def _that_surround(components: Components, lines: Mask, boxes: Ints, counted: Mask) -> Mask:
    """Which lines are together on three sides, at least, of the digit amid them: none or several."""
    nothing = np.zeros_like(lines)
    left, top, right, bottom = _around(boxes[counted])
    wide, high = max(1, round(RING * (right - left))), max(1, round(RING * (bottom - top)))
    between = (components.rows >= top + high) & (components.rows < bottom - high)
    inner = between & (components.ends > left + wide) & (components.starts < right - wide)
    ring = lines & ~components.any_of(inner)
    within = boxes[counted & ~ring]
    if np.count_nonzero(ring & counted) < 2 or not len(within):
        return nothing
    digit, around = _around(within), _around(boxes[ring])
    if (within[:, 3] - within[:, 1]).max() < LEAST_WITHIN * (around[3] - around[1]):
        return nothing
    free = _free_sides(digit, around)
    pairs = _margins(digit, around).reshape(2, 2)[:, free.reshape(2, 2).all(axis=0)]
    is_amid = free.all() or (pairs.min(axis=0) >= AMID * pairs.max(axis=0)).all()
    return ring if np.count_nonzero(free) >= 3 and is_amid else nothing


def _reaches_beyond(line: Ints, others: Ints, axis: int) -> bool:
    """Whether a single line, along that axis, is beside the digit and reaches beyond it on both sides."""
    digit, across = _around(others), 1 - axis
    side, length = _longest(digit), line[axis + 2] - line[axis]
    highest = (others[:, 3] - others[:, 1]).max()
    if highest < max(WHOLE * (digit[3] - digit[1]), LEAST_IN_ONE * length):
        return False
    margins = _margins(digit, line)
    beyond = min(margins[axis], margins[axis + 2])
    before, behind = digit[across] - line[across + 2], line[across] - digit[across + 2]
    if axis == 1:
        return bool(max(before, behind) >= UPRIGHT_APART * side and beyond >= UPRIGHT_BEYOND * side)
    if max(before, behind) < 0 or beyond < max(1, BEYOND * side):
        return False
    return bool(length >= LONG * side or behind >= BELOW * side)


def _around(boxes: Ints) -> Ints:
    """The box around them all."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def _longest(box: Ints) -> int:
    return int((box[2:] - box[:2]).max())


def _margins(digit: Ints, lines: Ints) -> Ints:
    """How far these reach beyond it, on the left, above, on the right and below."""
    return np.concatenate([digit[:2] - lines[:2], lines[2:] - digit[2:]])


def _free_sides(digit: Ints, lines: Ints) -> Mask:
    free: Mask = _margins(digit, lines) >= max(2, BEYOND * _longest(digit))
    return free
