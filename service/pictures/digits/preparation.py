"""A digit as people scan, draw or photograph it → the form in which MNIST stores its digits.

Deterministic, on Pillow and NumPy.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from service.errors import BlankImage
from service.pictures.digits.components import Box
from service.pictures.digits.drawing import AMPLE_SIDE, COARSE, FRINGE, STROKE, extent_of, longest
from service.pictures.digits.finding import FoundDigit, find
from service.pictures.digits.ground import mapped, to_grey
from service.pictures.digits.mnist_form import INK_SIDE, SIDE, centred, in_mnist_form, scaled, steps
from service.pictures.digits.morphology import Pixels
from service.pictures.digits.side_by_side import side_by_side
from service.pictures.digits.strokes import with_usual_strokes

LEAST_SIDE = 4  # pixels; no digit can be drawn with fewer

# Shares of full ink from which an edge counts as ink, and as full ink. Where a digit came with fewer pixels
# than COARSE, levels say where its strokes run, and all of them count.
EDGES, COARSE_EDGES = (0.15, 0.85), (0.05, 1.0)

Shares = tuple[float, float, float, float]  # left, top, right, bottom, of the picture's width and height


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


def prepare(picture: Image.Image) -> Prepared:
    """`picture`: L or RGB, any size, either polarity; what has MNIST's form is taken as it is.

    Raises BlankImage.
    """
    picture.load()  # what reads its pixels below does not
    if alone := as_it_is(picture):
        return alone
    digit = find(picture)
    if digit.side < LEAST_SIDE:
        raise BlankImage
    pixels = _coarse_form(digit) if digit.side < COARSE else _usual_form(digit)
    beside = _beside(digit, picture) if digit.in_parts else ()
    return Prepared(pixels, digit.is_light, shares_of(digit.box, picture), beside)


def as_it_is(picture: Image.Image) -> Prepared | None:
    """What has MNIST's form; None of any other. `picture`: loaded."""
    if picture.size != (SIDE, SIDE):
        return None
    grey = to_grey(picture)
    pixels, box = grey.tobytes(), grey.getbbox()
    if not box or not all(in_mnist_form([(pixels, box)])):
        return None
    return Prepared(pixels, True, shares_of(box, picture))


def in_form(ink: Image.Image, extent: Box, peak: int, scale: float) -> bytes:
    """What the model reads of ink that is a digit for certain: 28×28 bytes.

    `extent`: where it is in the ink, whose full level is `peak`; `scale`: pixels of the picture, a pixel.
    """
    half = int(longest(extent)) // (AMPLE_SIDE // 2)
    if half > 1:
        ink = ink.reduce(half)
        extent = extent_of(ink, peak) or (0, 0, *ink.size)
        scale *= half
    left, top, right, bottom = extent
    box = left * scale, top * scale, right * scale, bottom * scale
    digit = FoundDigit(ink, extent, True, peak, box, False)
    return _coarse_form(digit) if digit.side < COARSE else _usual_form(digit)


def shares_of(box: Sequence[float], picture: Image.Image) -> Shares:
    """Of the picture, instead of its pixels."""
    left, top, right, bottom = box
    return left / picture.width, top / picture.height, right / picture.width, bottom / picture.height


def _beside(digit: FoundDigit, picture: Image.Image) -> tuple[Shares, ...]:
    """Where digits stand side by side in it, as shares of the picture."""
    boxes = side_by_side(digit.ink.crop(digit.extent), STROKE * digit.peak)
    scale, (x, y, *_) = digit.side / digit.ink_side, digit.box
    return tuple(
        shares_of((x + left * scale, y + top * scale, x + right * scale, y + bottom * scale), picture)
        for left, top, right, bottom in boxes
    )


def _usual_form(digit: FoundDigit) -> bytes:
    lowest, full = EDGES
    ink = mapped(digit.ink.crop(digit.extent), steps(lowest * digit.peak, full * digit.peak))
    ink = with_usual_strokes(ink)
    return centred(scaled(ink, INK_SIDE / max(ink.size)))


def _coarse_form(digit: FoundDigit) -> bytes:
    """With the fringe around it, whose levels say as much of where its strokes run as those within."""
    lowest, full = COARSE_EDGES
    scale = INK_SIDE / digit.ink_side
    fringe = round(FRINGE * digit.ink_side / digit.side)
    left, top, right, bottom = digit.extent
    around = digit.ink.crop((left - fringe, top - fringe, right + fringe, bottom + fringe))
    ink = mapped(around, steps(lowest * digit.peak, full * digit.peak))
    return centred(scaled(ink, scale), round(fringe * scale))
