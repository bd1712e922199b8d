"""The parts of a sheet's ink that hang together: in lines, from left to right, without what is printed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.pictures.digits.components import Box, Components, Mask, components_of
from service.pictures.numbers.printed_boxes import LONG, is_comb, printed, usual_height, without_box

# Of the usual height.
TALL = 0.55  # what is taller begins or joins a line; what is not belongs to the nearest part
SPECK = 0.12  # what is lower and narrower is a speck
SPECK_INK = 0.03  # of the usual ink: so is what has less
LEAST_BOX = 12  # pixels of a box's height
WRITTEN = 0.25  # of a box's height, at the least, is what is written into it
MOST_PARTS = 192  # the largest
LEVEL = 0.7  # usual heights: the most that a part is up or down from the last ones of its line
LAST = 3  # of which the mean counts
INSIDE = 0.65  # of its width lies over or under another part: it belongs to that


class Part(NamedTuple):
    """What hangs together, or belongs to it: `mask [bottom - top, right - left]`, within its box."""

    box: Box
    mask: Mask

    @property
    def width(self) -> int:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]

    @property
    def middle(self) -> float:
        return (self.box[0] + self.box[2]) / 2

    @property
    def level(self) -> float:
        return (self.box[1] + self.box[3]) / 2


class Line(NamedTuple):
    """Parts side by side, and the usual height of those that are tall."""

    parts: list[Part]
    height: float


def lines_of(mask: Mask) -> list[Line]:
    """From top to bottom."""
    components = components_of(mask)
    if components is None:
        return []
    is_printed = printed(components)
    parts = []
    for number, whole in _largest(components):
        parts += _written_in(whole) or ([] if is_printed[number] else [whole])
    parts = sorted(parts, key=lambda part: -np.count_nonzero(part.mask))[:MOST_PARTS]
    if parts:
        usual = _usual_height(parts)
        parts = [part for part in parts if part.width < LONG * usual or not is_comb(part.mask)]
    if not parts:
        return []
    usual = _usual_height(parts)
    parts = _without_specks(parts, usual)
    tall = [part for part in parts if part.height >= TALL * usual]
    lines = _in_lines(tall, usual)
    for part in parts:
        if part.height < TALL * usual:
            _add_small(part, lines, usual)
    ordered = sorted(lines, key=lambda line: np.median([part.box[1] + part.box[3] for part in line]))
    return [_line(parts) for parts in ordered]


def _usual_height(parts: Sequence[Part]) -> float:
    ink = np.array([np.count_nonzero(part.mask) for part in parts])
    return usual_height(np.array([float(part.height) for part in parts]), ink)


def _largest(components: Components) -> list[tuple[int, Part]]:
    """By their numbers."""
    ink = components.sizes()
    chosen = np.argsort(-ink, kind="stable")[:MOST_PARTS].tolist()
    boxes = [tuple(box) for box in components.boxes().tolist()]
    return [(n, Part(boxes[n], components.alone(n, boxes[n]))) for n in chosen if ink[n]]


def _written_in(part: Part) -> list[Part]:
    """What is written into a box or a grid, and touches it; nothing where that is none."""
    left = without_box(part.mask) if part.height >= LEAST_BOX else None
    components = None if left is None else components_of(left)
    if components is None:
        return []
    x, y, *_ = part.box
    found = [one for _, one in _largest(components)]
    moved = [Part((x + box[0], y + box[1], x + box[2], y + box[3]), mask) for box, mask in found]
    return moved if any(one.height >= WRITTEN * part.height for one in moved) else []


def _without_specks(parts: Sequence[Part], usual: float) -> list[Part]:
    tall = [np.count_nonzero(part.mask) for part in parts if part.height >= TALL * usual]
    least = SPECK_INK * float(np.median(tall))
    return [
        part
        for part in parts
        if max(part.width, part.height) >= SPECK * usual and np.count_nonzero(part.mask) >= least
    ]


def _in_lines(tall: Sequence[Part], usual: float) -> list[list[Part]]:
    """Each joins the line whose last parts are beside it, so that slanted lines are lines."""
    lines: list[list[Part]] = []
    for part in sorted(tall, key=lambda part: part.middle):
        away = [abs(part.level - float(np.mean([one.level for one in line[-LAST:]]))) for line in lines]
        best = int(np.argmin(away)) if away else 0
        if away and away[best] <= LEVEL * usual:
            lines[best].append(part)
        else:
            lines.append([part])
    return lines


def _add_small(part: Part, lines: list[list[Part]], usual: float) -> None:
    """To the part over or under which it lies, or to the line beside which; else it is dropped."""
    nearest, far = None, 0.5 * usual
    for line in lines:
        for at, other in enumerate(line):
            if (away := _away(part, other)) < far:
                nearest, far = (line, at), away
    if nearest is None:
        return
    line, at = nearest
    other = line[at]
    inside = min(part.box[2], other.box[2]) - max(part.box[0], other.box[0])
    if inside >= INSIDE * part.width and other.height >= TALL * usual:
        line[at] = joined([other, part])
    else:
        line.append(part)
        line.sort(key=lambda part: part.middle)


def _away(part: Part, other: Part) -> float:
    """Pixels between their boxes."""
    across = max(part.box[0], other.box[0]) - min(part.box[2], other.box[2])
    down = max(part.box[1], other.box[1]) - min(part.box[3], other.box[3])
    return float(np.hypot(max(0, across), max(0, down)))


def joined(parts: Sequence[Part]) -> Part:
    """All of them as one."""
    if len(parts) == 1:
        return parts[0]
    boxes = np.array([part.box for part in parts])
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    mask = np.zeros((bottom - top, right - left), dtype=np.bool_)
    for part in parts:
        x, y = part.box[0] - left, part.box[1] - top
        mask[y : y + part.height, x : x + part.width] |= part.mask
    return Part((left, top, right, bottom), mask)


def _line(parts: list[Part]) -> Line:
    heights: NDArray[np.intp] = np.array([part.height for part in parts])
    return Line(parts, float(np.median(heights[heights >= TALL * heights.max()])))
