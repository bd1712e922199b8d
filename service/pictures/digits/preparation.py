"""A digit as people scan, draw or photograph it → the form in which MNIST stores its digits.

That form is light ink on a ground of 0, the longest side of the ink 20 pixels, its centre of mass in the
centre of 28×28 (LeCun, Bottou, Bengio and Haffner 1998, section III.A). Deterministic, on Pillow and NumPy.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.errors import BlankImage
from service.pictures.digits.fields import field_in, plate_in
from service.pictures.digits.ground import (
    LEAST_CONTRAST,
    at_work_size,
    find_ink,
    mapped,
    scaled_size,
    to_grey,
)
from service.pictures.digits.morphology import Pixels, pixels_of
from service.pictures.digits.printed import without_rules
from service.pictures.digits.side_by_side import side_by_side
from service.pictures.digits.strokes import (
    grouped,
    with_usual_strokes,
    without_grain,
    without_specks,
)

SIDE = 28
INK_SIDE = 20
CENTRE_OF_MASS = 14.5  # from the left and the top edge: the middle of pixel (14, 14), as in MNIST itself

LEAST_SIDE = 4  # pixels; no digit can be drawn with fewer
MOST_FIELDS = 2  # around a digit: its box, and the plate or the frame that this is on
CLOSER_SIDE = 30  # pixels: a digit that is found smaller than it came is looked at once more, closer
AMPLE_SIDE = 60  # likewise: of twice as many as are needed, half say as much with less of the noise

# Shares of full ink from which an edge counts as ink, and as full ink. Where a digit came with fewer pixels
# than COARSE, levels say where its strokes run, and all of them count.
EDGES, COARSE_EDGES, COARSE = (0.15, 0.85), (0.05, 1.0), 16

# Ink so near to a stroke, in pixels of the picture, is its fringe: strokes seldom end where pixels do.
FRINGE = 1.5

# Level of a stroke, over that of full ink. Of few pixels, two share what runs between them.
STROKE, COARSE_STROKE = 0.25, 0.12

_LEVELS = np.arange(256)

Box = tuple[int, int, int, int]  # left, top, right, bottom
Shares = tuple[float, float, float, float]  # likewise, of the picture's width and height

# A 28×28, 8-bit picture: its pixels, row by row, and the box of what is not 0.
Decoded = tuple[bytes, Box | None]

# MNIST's own 70,000 pictures: the longest side of the ink, its strongest pixel, and its centre of mass.
MNIST_INK_SIDES, MNIST_PEAKS, MNIST_CENTRE = (19, 20), (b"\xff", b"\xfe"), (13.9, 15.1)


class Prepared(NamedTuple):
    """What the model reads of a picture.

    `pixels`: 28×28 bytes in MNIST's form, row by row. `box`: where the ink was (left, top, right, bottom),
    in shares of the picture. `beside`: of two digits or more that stand side by side, each one's; empty
    where there may be but one.
    """

    pixels: bytes
    ink_is_light: bool
    box: Shares
    beside: tuple[Shares, ...] = ()

    def image_u8(self) -> Pixels:
        """The pixels as an array `u8 [28, 28]`, which is read-only."""
        return np.frombuffer(self.pixels, np.uint8).reshape(SIDE, SIDE)


def in_mnist_form(pictures: Sequence[Decoded]) -> list[bool]:
    """Which of them have that form as they are. Cheap, as most that come do; cheapest for many at once."""
    pixels_u8 = np.frombuffer(b"".join([pixels for pixels, _ in pictures]), np.uint8)
    sums = _sums(pixels_u8.reshape(-1, SIDE * SIDE), (SIDE, SIDE))
    return [_has_form(*picture, *of_one) for picture, of_one in zip(pictures, sums, strict=True)]


def _has_form(pixels: bytes, box: Box | None, mass: float, x: float, y: float) -> bool:
    low, high = mass * MNIST_CENTRE[0], mass * MNIST_CENTRE[1]
    return (
        box is not None
        and low <= x <= high
        and low <= y <= high
        and max(box[2] - box[0], box[3] - box[1]) in MNIST_INK_SIDES
        and (MNIST_PEAKS[0] in pixels or MNIST_PEAKS[1] in pixels)
    )


def _sums(pictures_u8: Pixels, size: tuple[int, int]) -> list[list[float]]:
    """Of pictures `u8 [N, pixels]` of one size: mass, and moments about the left and the upper edge.

    A moment over the mass is the centre of mass. Exact, as all are multiples of a half below 2^23.
    """
    sums: list[list[float]] = np.dot(pictures_u8.astype(np.float32), _moments(size)).tolist()
    return sums


@cache
def _moments(size: tuple[int, int]) -> NDArray[np.float32]:
    """[pixels, 3]: pixels times it are their sum, and the sums of their moments about two edges."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width] + 0.5
    return np.stack([np.ones(width * height), x.ravel(), y.ravel()], axis=1).astype(np.float32)


def prepare(picture: Image.Image) -> Prepared:
    """`picture`: L or RGB, any size, either polarity; what has MNIST's form is taken as it is.

    Raises BlankImage.
    """
    picture.load()  # what reads its pixels below does not
    if alone := as_it_is(picture):
        return alone
    digit = _look(picture)
    if digit.ink_side < min(CLOSER_SIDE, digit.side):
        digit = _look_closer(picture, digit)
    if digit.side < LEAST_SIDE:
        raise BlankImage
    pixels = _coarse_form(digit) if digit.side < COARSE else _usual_form(digit)
    beside = _beside(digit, picture) if digit.in_parts else ()
    return Prepared(pixels, digit.is_light, _shares(digit.box, picture), beside)


def as_it_is(picture: Image.Image) -> Prepared | None:
    """What has MNIST's form; None of any other. `picture`: loaded."""
    if picture.size != (SIDE, SIDE):
        return None
    grey = to_grey(picture)
    pixels, box = grey.tobytes(), grey.getbbox()
    if not box or not all(in_mnist_form([(pixels, box)])):
        return None
    return Prepared(pixels, True, _shares(box, picture))


def in_form(ink: Image.Image, extent: Box, peak: int, scale: float) -> bytes:
    """What the model reads of ink that is a digit for certain: 28×28 bytes.

    `extent`: where it is in the ink, whose full level is `peak`; `scale`: pixels of the picture, a pixel.
    """
    half = int(_longest(extent)) // (AMPLE_SIDE // 2)
    if half > 1:
        ink = ink.reduce(half)
        extent = _extent(ink, peak) or (0, 0, *ink.size)
        scale *= half
    left, top, right, bottom = extent
    box = left * scale, top * scale, right * scale, bottom * scale
    digit = _Digit(ink, extent, True, peak, box, False)
    return _coarse_form(digit) if digit.side < COARSE else _usual_form(digit)


def _shares(box: Sequence[float], picture: Image.Image) -> Shares:
    """Of the picture, instead of its pixels."""
    left, top, right, bottom = box
    return left / picture.width, top / picture.height, right / picture.width, bottom / picture.height


class _Digit(NamedTuple):
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
        return _longest(self.box)

    @property
    def ink_side(self) -> float:
        return _longest(self.extent)


def _longest(box: Shares) -> float:
    """The longest side of what lies from left and top to right and bottom."""
    left, top, right, bottom = box
    return max(right - left, bottom - top)


def _look(picture: Image.Image, around: int = 0) -> _Digit:
    """Find the digit at work size, or within its field. Raises BlankImage.

    `around`: so many fields.
    """
    work = to_grey(at_work_size(picture))
    ink, ink_is_light, peak, is_flat = find_ink(work)
    if not is_flat and (within := _look_within(picture, plate_in(work), work, 1, around)):
        return within
    if peak < LEAST_CONTRAST:
        raise BlankImage
    if not (found := without_grain(ink, peak)):
        raise BlankImage
    clear, peak = found
    unruled = without_rules(clear, peak)
    ink, extent, coarse = _measured(unruled, peak, picture.width / ink.width)
    x, y = picture.width / ink.width, picture.height / ink.height
    groups = grouped(ink, peak, COARSE_STROKE if coarse else STROKE)
    area = _area(extent) / groups.coarse**2 if extent else 0.0
    field = field_in(groups.on_ink, groups.components, area)
    if field and (within := _look_within(picture, field, ink, groups.coarse, around)):
        return within
    clean = without_specks(ink, peak, groups, FRINGE / x, unruled is not clear)
    if clean is not ink:
        extent = _extent(clean, peak)
    if not extent:
        raise BlankImage  # nothing but lines
    left, top, right, bottom = extent
    box = (left * x, top * y, right * x, bottom * y)
    return _Digit(clean, extent, ink_is_light, peak, box, clean is not ink)


def _area(box: Box) -> int:
    left, top, right, bottom = box
    return (right - left) * (bottom - top)


def _look_within(
    picture: Image.Image, field: Box | None, work: Image.Image, coarse: int, around: int
) -> _Digit | None:
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


def _moved(digit: _Digit, x: int, y: int) -> _Digit:
    """As it is found in a part of the picture, whose upper left corner is there."""
    left, top, right, bottom = digit.box
    return digit._replace(box=(x + left, y + top, x + right, y + bottom))


def _measured(ink: Image.Image, peak: int, scale: float) -> tuple[Image.Image, Box | None, bool]:
    """The ink, halved where it is ample; the extent of the digit; and whether it came with few pixels.

    `scale`: the picture's width over that of the ink. Halves are looked at first, as that takes less time.
    """
    if scale >= 1:
        half = ink.reduce(2)
        of_half = _extent(half, peak)
        if of_half and 2 * _longest(of_half) >= AMPLE_SIDE:
            return half, of_half, False
    extent = _extent(ink, peak)
    if scale >= 1 and of_half and extent and _longest(extent) >= AMPLE_SIDE:
        return half, of_half, False  # thin strokes are too faint in it to be seen from end to end
    return ink, extent, extent is not None and _longest(extent) * scale < COARSE


def _extent(ink: Image.Image, peak: int) -> Box | None:
    """The box of what is ink for certain, if anything is."""
    x, y, *_ = around = ink.getbbox() or (0, 0, *ink.size)
    box = mapped(ink.crop(around), _steps(0.4 * peak, 0.4 * peak + 1)).getbbox()
    return (x + box[0], y + box[1], x + box[2], y + box[3]) if box else None


def _look_closer(picture: Image.Image, digit: _Digit) -> _Digit:
    """Find it once more, with more of its pixels, in a part of the picture three times as large as it."""
    left, top, right, bottom = digit.box
    x, y = max(0, int(left - digit.side)), max(0, int(top - digit.side))
    end = min(picture.width, int(right + digit.side)), min(picture.height, int(bottom + digit.side))
    try:
        closer = _look(picture.crop((x, y, *end)))
    except BlankImage:
        return digit
    return _moved(closer, x, y)


def _beside(digit: _Digit, picture: Image.Image) -> tuple[Shares, ...]:
    """Where digits stand side by side in it, as shares of the picture."""
    boxes = side_by_side(digit.ink.crop(digit.extent), STROKE * digit.peak)
    scale, (x, y, *_) = digit.side / digit.ink_side, digit.box
    return tuple(
        _shares((x + left * scale, y + top * scale, x + right * scale, y + bottom * scale), picture)
        for left, top, right, bottom in boxes
    )


@cache
def _steps(low: float, high: float) -> list[int]:
    """A table: levels up to `low` become 0, from `high` on 255. Few, so they are kept."""
    table: list[int] = np.clip((_LEVELS - low) * (255 / (high - low)), 0, 255).round().astype(int).tolist()
    return table


def _usual_form(digit: _Digit) -> bytes:
    lowest, full = EDGES
    ink = mapped(digit.ink.crop(digit.extent), _steps(lowest * digit.peak, full * digit.peak))
    ink = with_usual_strokes(ink)
    return _centred(_scaled(ink, INK_SIDE / max(ink.size)))


def _coarse_form(digit: _Digit) -> bytes:
    """With the fringe around it, whose levels say as much of where its strokes run as those within."""
    lowest, full = COARSE_EDGES
    scale = INK_SIDE / digit.ink_side
    fringe = round(FRINGE * digit.ink_side / digit.side)
    left, top, right, bottom = digit.extent
    around = digit.ink.crop((left - fringe, top - fringe, right + fringe, bottom + fringe))
    ink = mapped(around, _steps(lowest * digit.peak, full * digit.peak))
    return _centred(_scaled(ink, scale), round(fringe * scale))


def _scaled(ink: Image.Image, scale: float) -> Image.Image:
    """Full ink to 255."""
    small = ink.resize(scaled_size(ink.size, scale), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return mapped(small, _steps(0, max(1, small.getextrema()[1])))


def _centred(digit: Image.Image, fringe: int = 0) -> bytes:
    """On 28×28, the centre of mass as near to the middle as whole pixels and the borders allow.

    So much of a `fringe` around it may lie beyond the borders.
    """
    pixels = pixels_of(digit)
    ((mass, *moments),) = _sums(pixels.reshape(1, -1), digit.size)
    x, y = (moment / max(1, mass) for moment in moments)
    left = min(max(-fringe, round(CENTRE_OF_MASS - x)), SIDE - digit.width + fringe) + fringe
    top = min(max(-fringe, round(CENTRE_OF_MASS - y)), SIDE - digit.height + fringe) + fringe
    canvas = np.zeros((SIDE + 2 * fringe, SIDE + 2 * fringe), dtype=np.uint8)
    canvas[top : top + digit.height, left : left + digit.width] = pixels
    return canvas[fringe : fringe + SIDE, fringe : fringe + SIDE].tobytes()
