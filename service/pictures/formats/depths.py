"""Grey of 16 or 32 bits, or of floating point → grey of 8 bits, of the range that is used.

A file says how many bits a level is stored in, not how many its maker used: cameras give 10, 12 or 14, and
NumPy often 8, in 16.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.errors import InvalidImage

DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras, scanners and programs use of 16

# In `info`: Pillow reads 32-bit levels as signed, and these are not; 0 is white.
UNSIGNED, INVERTED = "unsigned", "inverted"

_BAND = 1 << 18  # pixels: of a large picture only so many at a time are held at their full depth

_Levels = NDArray[np.number]


def used_bits(highest: int) -> int:
    """The smallest of DEPTHS that holds a picture's highest level."""
    return next(bits for bits in DEPTHS if highest < 1 << bits or bits == DEPTHS[-1])


def shallow(picture: Image.Image, colour_key: int | None = None) -> Image.Image:
    """`picture`: I;16 of any byte order, I or F → L, or LA where a `colour_key` is not shown.

    Of 16 bits those that are used count (`used_bits`); 32 bits and floating point have no agreed range, and
    are stretched to their own. Raises InvalidImage where pixels are not numbers.
    """
    lowest, highest = _range(picture)
    grey = Image.new("L", picture.size)
    cover = None if colour_key is None else Image.new("L", picture.size)
    for at, levels in _bands(picture):
        grey_u8 = _eight_bits(picture.mode, levels, lowest, highest)
        grey.paste(Image.fromarray(~grey_u8 if picture.info.get(INVERTED) else grey_u8), at)
        if cover:
            cover.paste(Image.fromarray((levels != colour_key).astype(np.uint8) * 255), at)
    return Image.merge("LA", (grey, cover)) if cover else grey


def _eight_bits(mode: str, levels: _Levels, lowest: float, highest: float) -> NDArray[np.uint8]:
    if mode.startswith("I;16"):
        return (levels.astype(np.uint16) >> (used_bits(int(highest)) - 8)).astype(np.uint8)
    scale = 255 / ((highest - lowest) or 1.0)
    return ((levels.astype(np.float64) - lowest) * scale).round().astype(np.uint8)


def _range(picture: Image.Image) -> tuple[float, float]:
    extremes = [(float(levels.min()), float(levels.max())) for _, levels in _bands(picture)]
    lowest, highest = min(low for low, _ in extremes), max(high for _, high in extremes)
    if not np.isfinite([extreme for of_band in extremes for extreme in of_band]).all():
        raise InvalidImage("The picture holds pixels that are not numbers.")
    return lowest, highest


def _bands(picture: Image.Image) -> Iterator[tuple[tuple[int, int], _Levels]]:
    """Rows of it, as they are stored, and where they are."""
    width, height = picture.size
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        levels = np.asarray(picture.crop((0, top, width, min(top + rows, height))))
        unsigned = picture.mode == "I" and picture.info.get(UNSIGNED)
        yield (0, top), levels.view(np.uint32) if unsigned else levels
