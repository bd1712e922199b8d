"""A picture of several digits → its ink, at a size at which each of them still has enough pixels."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from service.errors import BlankImage
from service.pictures.digits.components import Box, Mask, scaled_box
from service.pictures.digits.drawing import STROKE
from service.pictures.digits.ground import at_work_size, find_ink, strongest, to_grey
from service.pictures.digits.light import LEAST_CONTRAST
from service.pictures.digits.morphology import pixels_of
from service.pictures.digits.printed.fields import plate_in
from service.pictures.digits.printed.rules import without_rules
from service.pictures.digits.strokes import CLEAR_CONTRAST

MOST_PIXELS = 640_000  # that are looked at
LEAST_ROWS = 56  # a line of digits of fewer is enlarged
# Runs of ink, on which the time depends: of more, as grain and hatching have, half of the pixels are looked
# at.
MOST_RUNS = 12_000


class Sheet(NamedTuple):
    """Ink `L`, which is no darker than ground where there is none; `peak`: the level of full ink.

    `scale`: pixels of the picture, a pixel of the ink, across and down.
    """

    ink: Image.Image
    peak: int
    scale: tuple[float, float]

    def mask(self) -> Mask:
        """Where strokes are."""
        return pixels_of(self.ink) > STROKE * self.peak


def sheet_of(picture: Image.Image) -> Sheet:
    """`picture`: L or RGB, any size and polarity. Raises BlankImage."""
    picture.load()
    ink, _, peak, *_ = find_ink(to_grey(_at_work_size(picture)))
    if peak < LEAST_CONTRAST or (peak < CLEAR_CONTRAST and _is_grain(ink)):
        raise BlankImage
    ink = without_rules(ink, peak)
    while _runs(pixels_of(ink) > STROKE * peak) > MOST_RUNS:
        ink = ink.reduce(2)
    return Sheet(ink, peak, (picture.width / ink.width, picture.height / ink.height))


def plate_of(picture: Image.Image) -> Box | None:
    """Where what they stand on lies on another ground, as a sheet on a desk, in pixels of the picture."""
    work = to_grey(at_work_size(picture))
    plate = plate_in(work)
    scale = picture.width / work.width, picture.height / work.height
    return scaled_box(plate, *scale, picture.size) if plate else None


def enough_for(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height as which a larger picture may be decoded, and is looked at."""
    factor = max(1.0, (size[0] * size[1] / MOST_PIXELS) ** 0.5)
    return max(1, int(size[0] / factor)), max(1, int(size[1] / factor))


def _at_work_size(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    if width * height > MOST_PIXELS:
        # Not by a whole factor: just above so many pixels it would leave a quarter of them.
        return picture.resize(enough_for(picture.size), Image.Resampling.BOX)
    factor = min(LEAST_ROWS // height, int((MOST_PIXELS / (width * height)) ** 0.5))
    if factor > 1:
        return picture.resize((factor * width, factor * height), Image.Resampling.BICUBIC)
    return picture


def _is_grain(ink: Image.Image) -> bool:
    """Whether nothing is left of it where four by four pixels are one."""
    return ink.width < 16 or ink.height < 16 or strongest(ink.reduce(4)) < LEAST_CONTRAST


def _runs(mask: Mask) -> int:
    """How many runs of ink there are in all rows."""
    return int(np.count_nonzero(mask[:, 1:] & ~mask[:, :-1])) + int(np.count_nonzero(mask[:, 0]))
