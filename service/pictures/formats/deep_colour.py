"""Colour of 16 bits a channel, of which fewer are used: cameras store 10, 12 or 14 so, and NumPy often 8.

Pillow keeps the high byte of each and drops the low one. Where little or nothing is in the high bytes, the
file is decoded once more, for the low ones.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image, ImageChops
from PIL.ImageFile import ImageFile

from service.pictures.formats.depths import DEPTHS, used_bits

MOST_PIXELS = 4_000_000  # of which four copies are held; an upload of 16 bits hardly has more

_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_MODES = ("RGB", "RGBX", "RGBA")
_GREY = "LA;16B"  # which becomes RGBA, and has no other order: its four bytes are taken for one pixel's


def low_bytes_of(picture: ImageFile) -> str:
    """How Pillow is told to take the low bytes of a picture that is not yet loaded; "": it drops none."""
    raw = _raw_mode(picture)
    if raw == _GREY:
        return "RGBA"
    mode, _, order = raw.partition(";16")
    return f"{mode};16{_SWAPPED[order]}" if mode in _MODES and order in _SWAPPED else ""


def _raw_mode(picture: ImageFile) -> str:
    args = picture.tile[0].args if picture.tile else None
    raw = args[0] if isinstance(args, tuple) and args else args
    return raw if isinstance(raw, str) else ""


def with_all_bits(high: Image.Image, raw_mode: str, reopened: Callable[[], ImageFile]) -> Image.Image:
    """RGB or RGBA by the bits that are used. `high`: as Pillow has it; `raw_mode`: of the low bytes."""
    if high.width * high.height > MOST_PIXELS:
        return high
    channels = high.split()
    bits = _used_bits(channels[:3])
    if bits == DEPTHS[-1]:
        return high
    low = reopened()
    of_grey = _raw_mode(low) == _GREY
    low.tile = [tile._replace(args=_replaced(tile.args, raw_mode)) for tile in low.tile]
    low.load()
    low_bytes: Image.Image = Image.merge("RGBA", [low.getchannel(c) for c in "GGGA"]) if of_grey else low
    of_all = [bits] * 3 + [_used_bits([alpha]) for alpha in channels[3:]]
    upper = high.point([(level << (16 - depth)) & 255 for depth in of_all for level in range(256)])
    lower = low_bytes.point([level >> (depth - 8) for depth in of_all for level in range(256)])
    return ImageChops.add(upper, lower)


def _used_bits(high: Sequence[Image.Image]) -> int:
    """Of high bytes: the bounds of all depths lie between them."""
    highest = max(int(channel.getextrema()[1]) for channel in high)  # type: ignore[arg-type]
    return used_bits(highest << 8 | 255)


def _replaced(args: tuple[Any, ...] | str | None, raw_mode: str) -> tuple[Any, ...] | str:
    return (raw_mode, *args[1:]) if isinstance(args, tuple) else raw_mode
