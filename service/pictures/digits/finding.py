"""Where the digit is in a picture, and its ink: at work size, closer where it is small, in its field."""

from typing import NamedTuple

from PIL import Image

from service.errors import BlankImage
from service.pictures.digits.components import Box, box_of, scaled_box
from service.pictures.digits.drawing import CLOSER_SIDE, Drawing, drawing_of, longest
from service.pictures.digits.ground import at_work_size, find_ink, to_grey
from service.pictures.digits.light import LEAST_CONTRAST
from service.pictures.digits.lone_lines import with_lone_lines
from service.pictures.digits.printed.fields import field_in, plate_in

MOST_FIELDS = 2  # around a digit: its box, and the plate or the frame that this is on

WITHIN_BOX = 0.5  # of how far a box stands out, does a digit of the other polarity that is in it


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
    found = find_ink(work).turned(work) if is_turned else find_ink(work)
    if not found.is_flat and (within := _look_within(picture, plate_in(work), work, 1, around)):
        return within
    drawing = drawing_of(found, picture.width / work.width) if found.peak >= LEAST_CONTRAST else None
    if not drawing:
        raise BlankImage
    groups = drawing.groups
    field = field_in(groups.on_ink, groups.components, drawing.area)
    if within := _look_within(picture, field, drawing.ink, groups.coarse, around):
        return within
    if (
        found.is_flat
        and drawing.is_solid
        and (within := _look_within(picture, plate_in(work), work, 1, around))
    ):
        return within
    if not groups.on_ink.any():
        raise BlankImage  # nothing but dots
    turned = _look_turned(picture, around) if found.beyond >= WITHIN_BOX * found.peak else None
    if turned and _is_amid(turned, drawing, picture):
        return turned
    if drawing.is_empty_box():
        raise BlankImage
    if digit := _digit_of(drawing, found.is_light, picture) or turned:
        return digit
    raise BlankImage  # nothing but lines


def _digit_of(drawing: Drawing, is_light: bool, picture: Image.Image) -> FoundDigit | None:
    clean = drawing.without_specks()
    if not clean.extent:
        return None
    x, y = picture.width / clean.ink.width, picture.height / clean.ink.height
    left, top, right, bottom = clean.extent
    box = (left * x, top * y, right * x, bottom * y)
    return FoundDigit(clean.ink, clean.extent, is_light, clean.peak, box, clean is not drawing)


def _look_turned(picture: Image.Image, around: int) -> FoundDigit | None:
    """Find a digit of the other polarity, or None."""
    try:
        return _look(picture, around, is_turned=True)
    except BlankImage:
        return None


def _is_amid(digit: FoundDigit, drawing: Drawing, picture: Image.Image) -> bool:
    """Whether ink is all around it, and nowhere in its box."""
    on_ink, coarse = drawing.groups.on_ink, drawing.groups.coarse
    x, y = coarse * picture.width / drawing.ink.width, coarse * picture.height / drawing.ink.height
    start, end = (
        [round(edge / size) for edge, size in zip(edges, (x, y), strict=True)]
        for edges in (digit.box[:2], digit.box[2:])
    )
    left, top, right, bottom = box_of(on_ink)
    is_inside = left < start[0] and top < start[1] and end[0] < right and end[1] < bottom
    return is_inside and not on_ink[start[1] : end[1], start[0] : end[0]].any()


def _look_within(
    picture: Image.Image, field: Box | None, work: Image.Image, coarse: int, around: int
) -> FoundDigit | None:
    """Find it anew within its field; None where there is none, or it is empty.

    `coarse`: pixels of `work` in one of the field's.
    """
    if not field or around == MOST_FIELDS:
        return None
    x, y = coarse * picture.width / work.width, coarse * picture.height / work.height
    part = scaled_box(field, x, y, picture.size)
    try:
        digit = _look(picture.crop(part), around + 1)
    except BlankImage:
        return None
    return _moved(digit, *part[:2])


def _of_smaller(digit: FoundDigit, x: float, y: float) -> FoundDigit:
    """As it is found in the picture, so many times larger than one in which it was found."""
    left, top, right, bottom = digit.box
    return digit._replace(box=(left * x, top * y, right * x, bottom * y))


def _moved(digit: FoundDigit, x: int, y: int) -> FoundDigit:
    """As it is found in a part of the picture, whose upper left corner is there."""
    left, top, right, bottom = digit.box
    return digit._replace(box=(x + left, y + top, x + right, y + bottom))


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
