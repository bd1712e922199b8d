"""The field that a digit stands in, well inside the picture: a box around it, or a plate that it is put on.

What is around a digit may stand out by more than it, and the other way: so such a picture is looked at anew
within its field. A digit that has holes is no field, however square: in it there is no ink, or but a dot.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from service.pictures.digits.components import Box, Components, Mask, box_of, components_of
from service.pictures.digits.morphology import border, pixels_of

SOLID = 0.6  # of the box around all ink is ink where there may be a plate, and of a plate's own box
RECTANGULAR = 0.84  # likewise, is within the outline of a rectangle that is aslant; within a circle, 0.79
LEAST_SIDE = 0.25  # of the picture's longest side, of a field
# Of a field's longest side: what a digit in it has at the least.
CONTENT = 0.3  # what is smaller is a zero's dot
LEAST_ON_PLATE = 0.1  # what is smaller on a plate is a gap, or the sheet's grain
PLATE_CONTRAST = 40  # grey levels between a plate and what is around it
PLATE_RECTANGULAR = 0.88  # so much of its box is a plate, which may be aslant
# Holes are those of a digit, not what is written on a plate.
MOST_HOLES = 2
FILLED = 0.7  # of its own box, at the least, a hole fills
# But narrow ones far from both sides are a 1.
NARROW = 0.5  # width over height, at the most
ASIDE = 1.5  # times as far from the sides as from what is above or below, at the least
# An empty box.
SQUARE = 0.8  # width over height, at the least
STRAIGHT = 0.025  # of a side's length: the most that it is off a straight line; a square zero's is more
SIDE_OF_BOX = 0.22  # of its sides: so near to them is all of its ink
MOST_GAPS = 0.4  # of each side
BETWEEN_CORNERS = 0.7  # likewise, where its corners alone are drawn
GROUP_SIDE = 112  # pixels, at which a plate is looked for: strokes of a small digit are still there
LEAST_LOOKED_AT = 8  # of these, of a picture's shorter side


def field_in(on_ink: Mask, components: Components | None, area: float) -> Box | None:
    """Its box, without what is drawn around it; None where a digit stands in none.

    `on_ink [height, width]`; its components where there are several; `area`: of the box around it.
    What encloses nothing and is not solid, as most digits, is hardly looked at.
    """
    if components is None or not _encloses(components):
        if np.count_nonzero(on_ink) < SOLID * area:
            return None
        components = components or components_of(on_ink)
        if components is None:
            return None
    found = _rectangle(on_ink, components)
    if not found:
        return None
    if box := found.hole_box(RECTANGULAR):
        content = found.content(box)
        return found.inset(box, content) if _is_large(content, CONTENT) else None
    hole = found.hole
    if found.outline.mean() < SOLID or (found.outline | hole).mean() < PLATE_RECTANGULAR:
        return None
    if not _is_large(hole, LEAST_ON_PLATE) or _is_enclosed(hole):
        return None
    return found.inset((0, 0, hole.shape[1], hole.shape[0]), hole)


def plate_in(work: Image.Image) -> Box | None:
    """Likewise, where the ground of a picture, L, is uneven: there may be a plate and what is around it.

    The box is in pixels of the picture.
    """
    coarse = -(-max(work.size) // GROUP_SIDE)
    small = pixels_of(work.reduce(coarse))
    height, width = small.shape
    if min(height, width) < LEAST_LOOKED_AT:
        return None
    ground = np.median(np.concatenate(border(small)))
    plate = np.median(small[height // 4 : -(height // 4), width // 4 : -(width // 4)])
    if abs(plate - ground) < PLATE_CONTRAST:
        return None
    like_ground = np.abs(small - ground) < abs(plate - ground) / 2
    components = components_of(like_ground)
    found = _rectangle(like_ground, components) if components else None
    if not found or not (box := found.hole_box(PLATE_RECTANGULAR)):
        return None
    content = found.content(box)
    if not _is_large(content, LEAST_ON_PLATE) or _is_enclosed(content):
        return None
    left, top, right, bottom = found.inset(box, content)
    return coarse * left, coarse * top, min(work.width, coarse * right), min(work.height, coarse * bottom)


def is_empty_box(on_ink: Mask, around: Box) -> bool:
    """Whether ink is a box with nothing in it, but for gaps; one that is higher than wide may be a 0.

    `around`: the box around what is ink for certain.
    """
    left, top, right, bottom = around
    height, width = bottom - top, right - left
    if width < SQUARE * height or min(height, width) < LEAST_LOOKED_AT:
        return False
    box = on_ink[top:bottom, left:right]
    y, x = round(SIDE_OF_BOX * height), round(SIDE_OF_BOX * width)
    if box[y:-y, x:-x].any():
        return False
    covers = [_straight_cover(side) for side in (box, box[::-1], box.T, box.T[::-1])]
    is_corners = not box[height // 2].any() and not box[:, width // 2].any()
    return min(covers) >= 1 - (BETWEEN_CORNERS if is_corners else MOST_GAPS)


def _straight_cover(mask: Mask) -> float:
    """How much of its upper edge, but for the ends, is no gap; 0 where that is not straight."""
    ends = max(1, mask.shape[1] // 16)
    levels = mask[: len(mask) // 2, ends:-ends]
    columns = np.flatnonzero(levels.any(axis=0))
    if len(columns) < (1 - BETWEEN_CORNERS) * levels.shape[1]:
        return 0.0
    along = levels[:, columns].argmax(axis=0)
    line = np.polynomial.Polynomial.fit(columns, along, 1)(columns)
    is_straight = np.abs(along - line).max() <= max(1.0, STRAIGHT * levels.shape[1])
    return len(columns) / levels.shape[1] if is_straight else 0.0


class _Rectangle(NamedTuple):
    """What is outlined by the largest component, as far as it is one: all masks are of its box.

    `corner`: the left and upper edge of that; `hole`: what it leaves within its outer ends.
    """

    corner: tuple[int, int]
    outline: Mask
    hole: Mask
    on_ink: Mask

    def hole_box(self, least: float) -> Box | None:
        """Where the hole is itself rectangular."""
        left, top, right, bottom = box = box_of(self.hole)
        return box if _between_ends(self.hole[top:bottom, left:right]).mean() >= least else None

    def content(self, box: Box) -> Mask:
        """What stands in its hole."""
        left, top, right, bottom = box
        return (self.on_ink & ~self.outline)[top:bottom, left:right]

    def inset(self, box: Box, content: Mask) -> Box:
        """One pixel less on every side, where the line around it may reach into, unless the digit does."""
        x, y, end_x, end_y = box_of(content)
        height, width = content.shape
        left, top = self.corner[0] + box[0] + (x > 1), self.corner[1] + box[1] + (y > 1)
        right, bottom = self.corner[0] + box[2], self.corner[1] + box[3]
        return left, top, right - (end_x < width - 1), bottom - (end_y < height - 1)


def _rectangle(on_ink: Mask, components: Components) -> _Rectangle | None:
    boxes = components.boxes()
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    largest = int(sides.prod(axis=1).argmax())
    if sides[largest].min() < LEAST_SIDE * max(on_ink.shape):
        return None
    left, top, right, bottom = boxes[largest].tolist()
    outline = components.alone(largest, boxes[largest])
    within = _between_ends(outline)
    hole = within & ~outline
    if within.mean() < RECTANGULAR or not hole.any():
        return None
    return _Rectangle((left, top), outline, hole, on_ink[top:bottom, left:right])


def _encloses(components: Components) -> bool:
    """Whether one begins above another and ends below it, as what is around it does."""
    last = {group: run for run, group in enumerate(components.groups.tolist())}
    tallest = max(last, key=lambda group: last[group] - group)
    return any(tallest < group and run < last[tallest] for group, run in last.items())


def _is_large(content: Mask, least: float) -> bool:
    if not content.any():
        return False
    left, top, right, bottom = box_of(content)
    return bool(max(right - left, bottom - top) >= least * max(content.shape))


def _is_enclosed(content: Mask) -> bool:
    """Whether it is what a thick digit's own strokes enclose, rather than a digit on a plate."""
    components = components_of(content)
    if components is None:
        return True
    boxes = components.boxes()
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    if len(np.unique(components.groups)) > MOST_HOLES or content.sum() < FILLED * sides.prod(axis=1).sum():
        return False
    left, top, right, bottom = box_of(content)
    beside = min(left, content.shape[1] - right)
    above = min(top, len(content) - bottom)
    return bool(right - left >= NARROW * (bottom - top) or beside <= ASIDE * above)


def _between_ends(mask: Mask) -> Mask:
    """What lies between the first and the last of every row, and likewise of every column."""
    return _along_rows(mask) & _along_rows(mask.T).T


def _along_rows(mask: Mask) -> Mask:
    after = np.logical_or.accumulate(mask, axis=1)
    before = np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    found: Mask = after & before
    return found
