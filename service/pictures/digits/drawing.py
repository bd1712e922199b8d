"""What is drawn in a picture: its ink, without grain and printed lines, at the size of measuring."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from service.pictures.digits.components import Box
from service.pictures.digits.ground import Ink, mapped
from service.pictures.digits.mnist_form import steps
from service.pictures.digits.morphology import pixels_of
from service.pictures.digits.printed.cells import without_cell_lines
from service.pictures.digits.printed.fields import SOLID, is_empty_box
from service.pictures.digits.printed.rules import without_rules
from service.pictures.digits.printed.through import without_line_through
from service.pictures.digits.strokes import Grouped, grouped, widened, without_grain, without_specks

CLOSER_SIDE = 30  # pixels: a digit that is found smaller than it came is looked at once more, closer
AMPLE_SIDE = 60  # likewise: of twice as many as are needed, half say as much with less of the noise

COARSE = 16  # pixels: a digit that came with fewer has levels that say where its strokes run

# Ink so near to a stroke, in pixels of the picture, is its fringe: strokes seldom end where pixels do.
FRINGE = 1.5

# Level of a stroke, over that of full ink. Of few pixels, two share what runs between them; and of thin
# lines, some are fainter than others.
STROKE, COARSE_STROKE = 0.25, 0.12

# Of thin lines, whose groups have no more than so many times the pixels that the digit is long, only pieces
# are left where so much is in none.
THIN, MOST_LOST = 2.2, 0.15


class Drawing(NamedTuple):
    """Ink, where in it the digit is (None where there are lines alone), and its strokes.

    `sheet`: the ink before it was halved; `scale`: pixels of the picture in one of that. `is_widened`:
    whether its lines were; `is_erased`: whether printed ones were.
    """

    ink: Image.Image
    peak: int
    extent: Box | None
    groups: Grouped
    sheet: Image.Image
    scale: float
    is_widened: bool
    is_erased: bool = False

    @property
    def area(self) -> float:
        """Of the box around the digit, in pixels of its groups."""
        if not self.extent:
            return 0.0
        left, top, right, bottom = self.extent
        return (right - left) * (bottom - top) / self.groups.coarse**2

    @property
    def is_solid(self) -> bool:
        """Whether so much is ink as of a sheet, in which lines of thin pens may have been lost."""
        return bool(np.count_nonzero(self.groups.on_ink) >= SOLID * self.area)

    def is_empty_box(self) -> bool:
        return bool(self.extent) and is_empty_box(self.groups.on_ink, self._extent_of_groups())

    def without_specks(self) -> "Drawing":
        """The digit alone, without what lies beside it; `ink` is the same where that is nothing."""
        fringe = FRINGE * self.ink.width / (self.scale * self.sheet.width)
        clean = without_specks(self.ink, self.peak, self.groups, fringe, self.is_erased)
        return self if clean is self.ink else self._replace(ink=clean, extent=extent_of(clean, self.peak))

    def without_line_through(self) -> "Drawing":
        if not self.extent:
            return self
        of_groups = self._extent_of_groups()
        uncrossed = without_line_through(self.sheet, self.peak, self.groups.on_ink, of_groups)
        return measured(uncrossed, self.peak, self.scale, self.is_widened) if uncrossed else self

    def is_in_pieces(self) -> bool:
        """Whether its lines are thin, and much of what is ink for certain is in no stroke of its groups."""
        if not self.extent:
            return False
        coarse, on_ink = self.groups.coarse, self.groups.on_ink
        long = longest(self.extent)
        if long < CLOSER_SIDE or np.count_nonzero(on_ink) * coarse >= THIN * long:
            return False
        halved = -(-max(self.sheet.size) // max(self.ink.size))
        shares = pixels_of(_for_certain(self.sheet, self.peak).reduce(halved * coarse))
        return bool(shares[~on_ink].sum(dtype=int) > MOST_LOST * shares.sum(dtype=int))

    def _extent_of_groups(self) -> Box:
        """In their pixels."""
        left, top, right, bottom = self.extent or (0, 0, 0, 0)
        coarse = self.groups.coarse
        return left // coarse, top // coarse, -(-right // coarse), -(-bottom // coarse)


def drawing_of(found: Ink, scale: float) -> Drawing | None:
    """Without printed lines that touch nothing or the border, or run through it; None of grain alone.

    `scale`: pixels of the picture in one of the ink's.
    """
    if not (clear := without_grain(found.image, found.peak, found.is_flat)):
        return None
    ink, peak = clear
    unruled = without_rules(without_cell_lines(ink, peak), peak)
    drawing = measured(unruled, peak, scale, ink is not found.image)
    if drawing.is_in_pieces():
        drawing = measured(*widened(unruled, peak), scale, is_widened=True)
    return drawing.without_line_through()._replace(is_erased=unruled is not ink)


def measured(sheet: Image.Image, peak: int, scale: float, is_widened: bool = False) -> Drawing:
    """The ink is halved where it is ample, which is looked at first, as that takes less time."""
    ink, extent, is_coarse = _ample(sheet, peak, scale)
    groups = grouped(
        ink, peak, COARSE_STROKE if is_coarse or is_widened else STROKE, STROKE if is_widened else 0
    )
    return Drawing(ink, peak, extent, groups, sheet, scale, is_widened)


def _ample(ink: Image.Image, peak: int, scale: float) -> tuple[Image.Image, Box | None, bool]:
    """The ink, halved or not; the extent of the digit; and whether it came with few pixels."""
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


def longest(box: tuple[float, float, float, float]) -> float:
    """The longest side of what lies from left and top to right and bottom."""
    left, top, right, bottom = box
    return max(right - left, bottom - top)
