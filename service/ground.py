"""The ink of a picture: which way it stands out, how far, and what of that is only the light.

Paper is rarely as even as a drawing program's: shadows, gradients, vignettes and grain are taken off first.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

# The longest side, in pixels, at which ink is found, and at which the ground is modelled.
WORK_SIDE, GROUND_SIDE = 140, 32

# At which sides polarity is decided, and in which windows of a median that stands for the ground.
WINDOWS = (16, 5), (12, 7)

WIDEST_STROKE = 9  # of GROUND_SIDE: whatever is narrower is ink, whatever is wider is ground
WIDEST_AT_BORDER = 21  # likewise, along the border
# A flat ground: this share of the pixels within so many levels, and no such share on any other.
FLATNESS, FLAT_SHARE, SHADOW_SHARE = 4, 0.35, 0.10

# So much of a picture is ground, and so little lies beyond it on the other side, where all the rest is ink.
CLEAR_SHARE, STRAY_SHARE = 0.6, 0.001

INK_SHARE = 0.001  # of the pixels, at the least, are ink of full strength
LEAST_CONTRAST = 16  # grey levels; ink that stands out by less is noise
LUMA_SHARE = 0.3  # of the variance of all colours; where luma has less, ink and ground differ by colour

_LEVELS = np.arange(256)
_WINDOW = np.ones(2 * FLATNESS + 1)
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def to_grey(picture: Image.Image) -> Image.Image:
    """L or RGB → L: luma (ITU-R BT.601), unless colours differ more than luma does.

    Then it is the projection on the axis along which they differ most (their first principal component):
    red ink on a green ground of the same luma is ink all the same.
    """
    if picture.mode == "L":
        return picture
    grey = picture.convert("L")
    small = picture.resize((GROUND_SIDE, GROUND_SIDE), Image.Resampling.BOX)
    colours = np.asarray(small, dtype=np.float32).reshape(-1, 3)
    if np.ptp(colours, axis=1).max() < LEAST_CONTRAST:
        return grey
    mean = colours.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(colours - mean, rowvar=False))
    if (colours @ _LUMA).var() > LUMA_SHARE * variances[-1]:
        return grey
    axis = axes[:, -1]
    projected = np.asarray(picture, dtype=np.float32) @ axis
    low, high = projected.min(), projected.max()
    return Image.fromarray(((projected - low) * (255 / max(1.0, high - low))).astype(np.uint8))


def at_work_size(picture: Image.Image) -> Image.Image:
    longest = max(picture.size)
    if longest >= 2 * WORK_SIDE:
        return picture.reduce(longest // WORK_SIDE)
    if longest < WORK_SIDE // 2:
        factor = WORK_SIDE // longest
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BICUBIC)
    return picture


class Ink(NamedTuple):
    """How far each pixel stands out from the ground around it, which way, and its strength.

    `peak` is the level of full ink, were there only so little of it as INK_SHARE.
    """

    image: Image.Image
    is_light: bool
    peak: int


def find_ink(work: Image.Image) -> Ink:
    """`work`: L, of work size."""
    histogram = _histogram(work)
    ink_is_light = _clear_polarity(histogram)
    if ink_is_light is None:
        ink_is_light = _ink_is_light(work)
    if ink_is_light:
        histogram = histogram[::-1]
    flat = _flat_ground(histogram)
    if flat is None:
        ink = _ink(ImageChops.invert(work) if ink_is_light else work)
        return Ink(ink, ink_is_light, strongest(ink))
    ink = mapped(work, _below(flat, ink_is_light))
    return Ink(ink, ink_is_light, max(0, flat - _quantile(histogram, INK_SHARE)))


def mapped(grey: Image.Image, table: bytes) -> Image.Image:
    """Level by level through a table of 256; half the time of Pillow's `point`, which rounds the table."""
    return Image.frombuffer("L", grey.size, grey.tobytes().translate(table), "raw", "L", 0, 1)


@cache
def _below(flat: int, reverse: bool) -> bytes:
    """A table: how far each level is below `flat`; of inverted levels where `reverse`."""
    below = np.maximum(flat - _LEVELS, 0).astype(np.uint8).tobytes()
    return below[::-1] if reverse else below


def strongest(ink: Image.Image) -> int:
    return _quantile(_histogram(ink), 1 - INK_SHARE)


def _quantile(histogram: NDArray[np.int_], share: float) -> int:
    """The level up to which this share of the pixels lies."""
    counts = np.cumsum(histogram)
    return int(np.searchsorted(counts, counts[-1] * share))


def _histogram(grey: Image.Image) -> NDArray[np.int_]:
    """How many pixels have each of the 256 levels, of one pixel in nine where there are many."""
    every = 3 if min(grey.size) >= WORK_SIDE // 2 else 1
    return np.bincount(np.asarray(grey)[::every, ::every].ravel(), minlength=len(_LEVELS))


def _clear_polarity(histogram: NDArray[np.int_]) -> bool | None:
    """Whether ink is the lighter, where nothing but ink stands out from the ground, as in most drawings."""
    level = int(histogram.argmax())
    darker = int(histogram[: max(0, level - FLATNESS)].sum())
    lighter = int(histogram[level + FLATNESS + 1 :].sum())
    total = int(histogram.sum())
    if min(darker, lighter) > STRAY_SHARE * total or max(darker, lighter) > (1 - CLEAR_SHARE) * total:
        return None
    return lighter > darker


def _ink(work: Image.Image) -> Image.Image:
    """How far each pixel is darker than the ground around it."""
    small = work.resize(scaled_size(work.size, GROUND_SIDE / max(work.size)), Image.Resampling.BOX)
    ground = _ground(small).resize(work.size, Image.Resampling.BILINEAR)
    # Ink takes away a share of the light that falls on its place: in a shadow it stands out by less.
    light = np.asarray(ground, dtype=np.float32)
    share = np.asarray(ImageChops.subtract(ground, work), dtype=np.float32) / np.maximum(
        light, LEAST_CONTRAST
    )
    return Image.fromarray((share * light.max()).astype(np.uint8))


def _flat_ground(histogram: NDArray[np.int_]) -> int | None:
    """The one grey level of a ground that is as flat as a drawing program's, or None.

    Much of such a picture lies on that level, and no other level between it and the ink is as common:
    where one is, it is a shadow or a second sheet.
    """
    share = np.convolve(histogram, _WINDOW, mode="same") / histogram.sum()
    level = int(share.argmax())
    darkest = int(np.flatnonzero(histogram)[0])
    between = share[darkest + (level - darkest) // 6 : max(0, level - 2 * FLATNESS)]
    flat = share[level] >= FLAT_SHARE and between.max(initial=0) < SHADOW_SHARE
    return level if flat else None


def _ground(small: Image.Image) -> Image.Image:
    """The ground without the dark ink: a grey closing, wider than any stroke.

    It follows shadows, gradients and vignettes, and does not follow strokes. Where ink touches the
    border there is no ground beyond it, so the border is continued outwards, closed along itself by a
    wider filter first.
    """
    reach = WIDEST_STROKE // 2 + 1
    rim = np.array(small)
    for line in (rim[0], rim[-1], rim[:, 0], rim[:, -1]):
        line[:] = np.asarray(_closed(Image.fromarray(line[None]), WIDEST_AT_BORDER))[0]
    canvas = np.pad(rim, reach, mode="edge")
    canvas[reach:-reach, reach:-reach] = small
    closed = _closed(Image.fromarray(canvas), WIDEST_STROKE).filter(ImageFilter.GaussianBlur(1))
    return closed.crop((reach, reach, reach + small.width, reach + small.height))


def _closed(grey: Image.Image, width: int) -> Image.Image:
    """Grey closing: what is dark and narrower than `width` is filled with the levels around it."""
    return grey.filter(ImageFilter.MaxFilter(width)).filter(ImageFilter.MinFilter(width))


def _ink_is_light(work: Image.Image) -> bool:
    """What deviates most from the median around it, which follows the ground and its shadows, is ink.

    In narrow windows hard shadows hardly count, in wide ones neither do the gaps between strokes that fill
    the picture; both together decide.
    """
    return sum(_third_moment(work, side, window) for side, window in WINDOWS) > 0


def _third_moment(work: Image.Image, side: int, window: int) -> float:
    small = work.resize((side, side), Image.Resampling.BOX)
    around = small.filter(ImageFilter.MedianFilter(window))
    deviation = np.asarray(small, dtype=np.float32) - np.asarray(around, dtype=np.float32)
    return float((deviation**3).mean())


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
