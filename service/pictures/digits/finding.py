"""Where the digit is in a picture, and its ink: at work size, closer where it is small, in its field."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from service.errors import BlankImage
from service.pictures.digits.components import box_of
from service.pictures.digits.fields import field_in, is_empty_box, plate_in
from service.pictures.digits.ground import at_work_size, find_ink, mapped, to_grey
from service.pictures.digits.light import LEAST_CONTRAST
from service.pictures.digits.lone_lines import with_lone_lines
from service.pictures.digits.mnist_form import Box, steps
from service.pictures.digits.morphology import pixels_of
from service.pictures.digits.printed.cells import without_cell_lines
from service.pictures.digits.printed.rules import without_rules
from service.pictures.digits.printed.through import without_line_through
from service.pictures.digits.strokes import Grouped, grouped, widened, without_grain, without_specks

MOST_FIELDS = 2  # around a digit: its box, and the plate or the frame that this is on
CLOSER_SIDE = 30  # pixels: a digit that is found smaller than it came is looked at once more, closer
AMPLE_SIDE = 60  # likewise: of twice as many as are needed, half say as much with less of the noise

WITHIN_BOX = 0.5  # of how far a box stands out, does a digit of the other polarity that is in it

COARSE = 16  # pixels: a digit that came with fewer has levels that say where its strokes run

# Ink so near to a stroke, in pixels of the picture, is its fringe: strokes seldom end where pixels do.
FRINGE = 1.5

# Level of a stroke, over that of full ink. Of few pixels, two share what runs between them; and of thin
# lines, some are fainter than others.
STROKE, COARSE_STROKE = 0.25, 0.12

# Of thin lines, whose groups have no more than so many times the pixels that the digit is long, only pieces
# are left where so much is in none.
THIN, MOST_LOST = 2.2, 0.15


class FoundDigit(NamedTuple):
    """Ink, and where in it the digit is; and where that is in the picture, in its pixels.

    `in_parts`: not all of the ink hung together.
    """

    ink: Image.Image
    extent: Box
    is_light: bool
    peak: int
    box: tuple[float, float, float, float]
    in_parts: bool

    @property
    def side(self) -> float:
        return longest(self.box)

    @property
    def ink_side(self) -> float:
        return longest(self.extent)


def longest(box: tuple[float, float, float, float]) -> float:
    """The longest side of what lies from left and top to right and bottom."""
    left, top, right, bottom = box
    return max(right - left, bottom - top)


def find(picture: Image.Image) -> FoundDigit:
    """The digit, looked at closer where it is small. Raises BlankImage."""
    try:
        digit = _look(picture)
    except BlankImage:
        if not (lines := with_lone_lines(picture)):
            raise
        return _of_smaller(_look(lines), picture.width / lines.width, picture.height / lines.height)
    if digit.ink_side < min(CLOSER_SIDE, digit.side):
        return _look_closer(picture, digit)
    return digit


def _look(picture: Image.Image, around: int = 0, is_turned: bool = False) -> FoundDigit:
    """Find the digit at work size, or within its field. Raises BlankImage.

    `around`: so many fields. `is_turned`: what stands out more is but a box, or lines.
    """
    work = to_grey(at_work_size(picture))
    found_ink = find_ink(work).turned(work) if is_turned else find_ink(work)
    ink, ink_is_light, peak, *_ = found_ink
    is_flat, may_turn = found_ink.is_flat, found_ink.beyond >= WITHIN_BOX * peak
    if not is_flat and (within := _look_within(picture, plate_in(work), work, 1, around)):
        return within
    if peak < LEAST_CONTRAST:
        raise BlankImage
    if not (found := without_grain(ink, peak, is_flat)):
        raise BlankImage
    clear, peak = found
    is_widened = clear is not ink
    unruled = without_rules(without_cell_lines(clear, peak), peak)
    ink, extent, groups = _grouped(unruled, peak, picture.width / work.width, is_widened)
    seen = np.count_nonzero(groups.on_ink)
    is_thin = extent and seen * groups.coarse < THIN * longest(extent) >= THIN * CLOSER_SIDE
    drawn = unruled
    if is_thin and _is_in_pieces(unruled, peak, groups, -(-max(unruled.size) // max(ink.size))):
        is_widened, (drawn, peak) = True, widened(unruled, peak)
        ink, extent, groups = _grouped(drawn, peak, picture.width / work.width, is_widened)
    at = _coarse_box(extent, groups.coarse) if extent else None
    if at and (uncrossed := without_line_through(drawn, peak, groups.on_ink, at)):
        ink, extent, groups = _grouped(uncrossed, peak, picture.width / work.width, is_widened)
    x, y = picture.width / ink.width, picture.height / ink.height
    area = _area(extent) / groups.coarse**2 if extent else 0.0
    field = field_in(groups.on_ink, groups.components, area)
    if field and (within := _look_within(picture, field, ink, groups.coarse, around)):
        return within
    if not seen and not groups.on_ink.any():
        raise BlankImage  # nothing but dots
    turned = _look_turned(picture, around) if may_turn else None
    if turned and _is_amid(turned, groups, (groups.coarse * x, groups.coarse * y)):
        return turned
    if extent and is_empty_box(groups.on_ink, _coarse_box(extent, groups.coarse)):
        raise BlankImage
    clean = without_specks(ink, peak, groups, FRINGE / x, unruled is not clear)
    if clean is not ink:
        extent = extent_of(clean, peak)
    if not extent:  # nothing but lines
        if turned:
            return turned
        raise BlankImage
    left, top, right, bottom = extent
    box = (left * x, top * y, right * x, bottom * y)
    return FoundDigit(clean, extent, ink_is_light, peak, box, clean is not ink)


def _coarse_box(box: Box, coarse: int) -> Box:
    left, top, right, bottom = box
    return left // coarse, top // coarse, -(-right // coarse), -(-bottom // coarse)


def _look_turned(picture: Image.Image, around: int) -> FoundDigit | None:
    """Find a digit of the other polarity, or None."""
    try:
        return _look(picture, around, is_turned=True)
    except BlankImage:
        return None


def _is_amid(digit: FoundDigit, groups: Grouped, scale: tuple[float, float]) -> bool:
    """Whether ink is all around it, and nowhere in its box. `scale`: pixels of the picture in one."""
    if not groups.on_ink.any():
        return False
    start, end = (
        [round(edge / size) for edge, size in zip(edges, scale, strict=True)]
        for edges in (digit.box[:2], digit.box[2:])
    )
    left, top, right, bottom = box_of(groups.on_ink)
    is_inside = left < start[0] and top < start[1] and end[0] < right and end[1] < bottom
    return is_inside and not groups.on_ink[start[1] : end[1], start[0] : end[0]].any()


def _area(box: Box) -> int:
    left, top, right, bottom = box
    return (right - left) * (bottom - top)


def _look_within(
    picture: Image.Image, field: Box | None, work: Image.Image, coarse: int, around: int
) -> FoundDigit | None:
    """Find it anew within its field; None where there is none, or it is empty.

    `coarse`: pixels of `work` in one of the field's.
    """
    if not field or around == MOST_FIELDS:
        return None
    x, y = coarse * picture.width / work.width, coarse * picture.height / work.height
    left, top, right, bottom = field
    start = round(left * x), round(top * y)
    end = min(picture.width, round(right * x)), min(picture.height, round(bottom * y))
    try:
        digit = _look(picture.crop((*start, *end)), around + 1)
    except BlankImage:
        return None
    return _moved(digit, *start)


def _of_smaller(digit: FoundDigit, x: float, y: float) -> FoundDigit:
    """As it is found in the picture, so many times larger than one in which it was found."""
    left, top, right, bottom = digit.box
    return digit._replace(box=(left * x, top * y, right * x, bottom * y))


def _moved(digit: FoundDigit, x: int, y: int) -> FoundDigit:
    """As it is found in a part of the picture, whose upper left corner is there."""
    left, top, right, bottom = digit.box
    return digit._replace(box=(x + left, y + top, x + right, y + bottom))


def _grouped(
    ink: Image.Image, peak: int, scale: float, is_widened: bool
) -> tuple[Image.Image, Box | None, Grouped]:
    """The ink at the size at which it is measured, the extent of the digit, and its strokes."""
    ink, extent, coarse = _measured(ink, peak, scale)
    return ink, extent, grouped(ink, peak, COARSE_STROKE if coarse or is_widened else STROKE)


def _is_in_pieces(ink: Image.Image, peak: int, groups: Grouped, halved: int) -> bool:
    """Whether much of what is ink for certain is in no stroke of its groups.

    `halved`: 2 where these are of half of its pixels, otherwise 1.
    """
    shares = pixels_of(_for_certain(ink, peak).reduce(halved * groups.coarse))
    return bool(shares[~groups.on_ink].sum(dtype=int) > MOST_LOST * shares.sum(dtype=int))


def _measured(ink: Image.Image, peak: int, scale: float) -> tuple[Image.Image, Box | None, bool]:
    """The ink, halved where it is ample; the extent of the digit; and whether it came with few pixels.

    `scale`: the picture's width over that of the ink. Halves are looked at first, as that takes less time.
    """
    if scale >= 1:
        half = ink.reduce(2)
        of_half = extent_of(half, peak)
        if of_half and 2 * longest(of_half) >= AMPLE_SIDE:
            return half, of_half, False
    extent = extent_of(ink, peak)
    if scale >= 1 and of_half and extent and longest(extent) >= AMPLE_SIDE:
        return half, of_half, False  # thin strokes are too faint in it to be seen from end to end
    return ink, extent, extent is not None and longest(extent) * scale < COARSE


def extent_of(ink: Image.Image, peak: int) -> Box | None:
    """The box of what is ink for certain, if anything is."""
    x, y, *_ = around = ink.getbbox() or (0, 0, *ink.size)
    box = _for_certain(ink.crop(around), peak).getbbox()
    return (x + box[0], y + box[1], x + box[2], y + box[3]) if box else None


def _for_certain(ink: Image.Image, peak: int) -> Image.Image:
    return mapped(ink, steps(0.4 * peak, 0.4 * peak + 1))


def _look_closer(picture: Image.Image, digit: FoundDigit) -> FoundDigit:
    """Find it once more, with more of its pixels, in a part of the picture three times as large as it."""
    left, top, right, bottom = digit.box
    x, y = max(0, int(left - digit.side)), max(0, int(top - digit.side))
    end = min(picture.width, int(right + digit.side)), min(picture.height, int(bottom + digit.side))
    try:
        closer = _look(picture.crop((x, y, *end)))
    except BlankImage:
        return digit
    return _moved(closer, x, y)
