"""Pictures whose file lacks its end: an upload or a card was cut off.

Every viewer shows them. They are read where next to nothing is missing. Where more is, the file is called
damaged, for a digit of which half is missing may be another one.
"""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

MOST_LOST = 0.1  # of the rows
MOST_PIXELS = 1 << 23  # two copies are held, to compare them

_END_OF_JPEG = b"\xff\xd9"
_OTHER_BYTES = b"\0" + b"\xaa\x55" * 32  # that no encoder writes there, and no marker with 255 before them
_SCAN = b"\xff\xda"
_LAST_COEFFICIENT = 63
_STRIP = 64  # rows that are compared at once

# The same file with some bytes behind it, opened as the picture was, and not yet decoded.
Reopened = Callable[[bytes], ImageFile]


def load(picture: ImageFile, reopened: Reopened) -> Image.Image:
    """Its pixels; rows that are missing are as the nearest that is there. Raises what Pillow raises."""
    try:
        picture.load()
    except OSError as error:
        if not str(error).startswith("image file is truncated") or _pixels(picture) > MOST_PIXELS:
            raise
        rows = _ended_jpeg(reopened) if picture.format == "JPEG" else None
        rows = rows or _rows_that_are_there(reopened)
        if rows is None:
            raise
        return rows
    return picture


def _pixels(picture: Image.Image) -> int:
    return picture.width * picture.height


def _ended_jpeg(reopened: Reopened) -> Image.Image | None:
    """Where it lacks its end mark alone, or that and some of what refines the whole picture at last.

    Bytes before the end mark change pixels only where some of a pixel's are missing.
    """
    ended, filled = reopened(_END_OF_JPEG), reopened(_OTHER_BYTES + _END_OF_JPEG)
    if not isinstance(ended, JpegImageFile) or not isinstance(ended.fp, BytesIO):
        return None
    scans = list(_scans(ended.fp.getvalue()))
    last = {(scan.component, scan.last) for scan in scans if scan.approximation == 0}
    if len(last & {(scan.component, _LAST_COEFFICIENT) for scan in scans}) < ended.layers:
        return None
    ended.load()
    filled.load()
    return ended if scans[-1].refines or not _rows_that_differ(ended, filled).any() else None


class _Scan(NamedTuple):
    """A component of a scan: up to which coefficient it goes, and from which bit (T.81, B.2.3)."""

    component: int
    last: int
    approximation: int
    refines: bool


def _scans(jpeg: bytes) -> Iterator[_Scan]:
    at = jpeg.find(_SCAN)
    while 0 <= at < len(jpeg) - 8:
        components = jpeg[at + 5 : at + 5 + 2 * jpeg[at + 4] : 2]
        last, approximation = jpeg[at + 6 + 2 * len(components) :][:2].ljust(2, b"\xff")
        for component in components:
            yield _Scan(component, last, approximation & 15, approximation > 15)
        at = jpeg.find(_SCAN, at + 2)


def _rows_that_are_there(reopened: Reopened) -> Image.Image | None:
    """Those that the decoder has written, the same on any ground. None if too many are missing."""
    dark, light = _decoded_onto(0, reopened(b"")), _decoded_onto(255, reopened(b""))
    missing = _rows_that_differ(dark, light)
    lost = np.flatnonzero(missing).tolist() or [len(missing)]
    top, bottom = (lost[-1] + 1, len(missing)) if missing[0] else (0, lost[0])
    if missing[top:bottom].any() or bottom - top < (1 - MOST_LOST) * len(missing):
        return None
    for nearest, first, end in ((top, 0, top), (bottom - 1, bottom, len(missing))):
        row = dark.crop((0, nearest, dark.width, nearest + 1))
        dark.paste(row.resize((dark.width, max(1, end - first)), Image.Resampling.NEAREST), (0, first))
    return dark


def _decoded_onto(level: int, picture: ImageFile) -> Image.Image:
    """As far as its file goes."""
    prepared = picture.load_prepare

    def prepare() -> None:
        prepared()
        mode, size = picture.im.mode, picture.im.size
        bands = Image.getmodebands(mode)
        picture.im = Image.new(mode, size, level if bands == 1 else (level,) * bands).im

    setattr(picture, "load_prepare", prepare)  # noqa: B010 - mypy: a method
    try:
        picture.load()
    except OSError:
        picture.tile = []  # there is no more to come
    return picture


def _rows_that_differ(one: Image.Image, other: Image.Image) -> NDArray[np.bool_]:
    """For every row, whether a pixel of it does."""
    differ = []
    for top in range(0, one.height, _STRIP):
        strip = (0, top, one.width, min(one.height, top + _STRIP))
        unequal = np.asarray(one.crop(strip)) != np.asarray(other.crop(strip))
        differ.append(unequal.reshape(len(unequal), -1).any(axis=1))
    return np.concatenate(differ)
