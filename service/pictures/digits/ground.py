"""The ink of a picture: which way it stands out, and how far."""

from bisect import bisect_left
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from service.pictures.digits.light import GROUND_SIDE, LEAST_CONTRAST, WIDEST_STROKE, out_of_the_light
from service.pictures.digits.morphology import border, pixels_of
from service.pictures.digits.polarity import filling_is_light, lesser_of, narrow_is_light

WORK_SIDE = 140  # pixels: the longest side at which ink is found

# A flat ground, in shares of all pixels.
FLATNESS = 4  # grey levels to either side
FLAT_SHARE = 0.35  # at the least, lies within them
SHADOW_SHARE = 0.10  # less lies as close about any other level between it and the ink
LIT_SHARE = 0.15  # less lies beyond it, away from the ink
HALF_SHARE = 0.15  # where as much lies between it and the ink,
BORDER_SHARE = 0.35  # and as much of the border, that is a shadow
SIDE_SHADE, SIDE_SHARE = 0.06, 0.5  # likewise, and of any one side

# A ground that is clear at once: all but it is ink.
CLEAR_SHARE = 0.6  # of the pixels, at the least, are ground
STRAY_SHARE = 0.001  # at the most, lies beyond it on the other side

INK_SHARE = 0.001  # of the pixels, at the least, are ink of full strength
TINY_CONTRAST = 50  # grey levels, by which ink stands out that is less ink than INK_SHARE on a flat ground
LUMA_SHARE = 0.3  # of the variance of all colours; where luma has less, ink and ground differ by colour

_LEVELS = np.arange(256)
_WINDOW = np.ones(2 * FLATNESS + 1, dtype=np.int64)
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


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
    if (colours @ LUMA).var() > LUMA_SHARE * variances[-1]:
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

    `peak` is the level of full ink, were there only so little of it as INK_SHARE. `ground`: its grey level
    where it is flat; `beyond`: there, how far so much stands out the other way.
    """

    image: Image.Image
    is_light: bool
    peak: int
    ground: int | None = None
    beyond: int = 0

    @property
    def is_flat(self) -> bool:
        return self.ground is not None

    def turned(self, work: Image.Image) -> "Ink":
        """What stands out the other way from a flat ground. `work`: the picture that it was found in."""
        ground = self.ground or 0
        is_light = not self.is_light
        image = mapped(work, _below(255 - ground if is_light else ground, is_light))
        return Ink(image, is_light, self.beyond, ground)


def find_ink(work: Image.Image) -> Ink:
    """`work`: L, of work size."""
    histogram = _Histogram.of(work)
    if histogram.is_even():  # lines may run between the pixels looked at
        histogram = _Histogram.of(work, 1)
    ink_is_light, filling, widest = _clear_polarity(histogram), None, WIDEST_STROKE
    if ink_is_light is None or len({*_corners(work), histogram.commonest()}) > 1:
        filling = filling_is_light(work)
    if filling is not None:
        ink_is_light = filling
    elif ink_is_light is None and (lesser := lesser_of(work)):
        ink_is_light, widest = lesser
    elif ink_is_light is None:
        ink_is_light = narrow_is_light(work)
    if ink_is_light:
        histogram = histogram.inverted()
    flat = _flat_ground(histogram)
    if flat is None and filling is not None:
        flat = histogram.commonest_light()
    if flat is None or (filling is None and _in_shadow(work, histogram, flat, ink_is_light)):
        ink = out_of_the_light(ImageChops.invert(work) if ink_is_light else work, widest)
        return Ink(ink, ink_is_light, strongest(ink, 1))
    ink = mapped(work, _below(flat, ink_is_light))
    peak = max(0, flat - histogram.quantile(INK_SHARE))
    peak = peak if peak >= LEAST_CONTRAST else strongest(ink, 1)
    if peak < LEAST_CONTRAST and (tiny := int(pixels_of(ink).max())) >= TINY_CONTRAST:
        peak = tiny  # on a flat ground a digit may be as small as a speck is elsewhere
    beyond = histogram.quantile(1 - INK_SHARE) - flat
    return Ink(ink, ink_is_light, peak, 255 - flat if ink_is_light else flat, beyond)


def mapped(grey: Image.Image, table: list[int]) -> Image.Image:
    """Level by level through a table of 256: Pillow's `point`, which would first round the table."""
    return grey._new(grey.im.point(table, "L"))


@cache
def _below(flat: int, reverse: bool) -> list[int]:
    """A table: how far each level is below `flat`; of inverted levels where `reverse`."""
    below: list[int] = np.maximum(flat - _LEVELS, 0).tolist()
    return below[::-1] if reverse else below


def strongest(ink: Image.Image, every: int = 3) -> int:
    return _Histogram.of(ink, every).quantile(1 - INK_SHARE)


class _Histogram:
    """How many pixels of a picture have each of the 256 levels.

    Summed up once: what is asked of a few hundred numbers costs less of a list than of an array.
    """

    def __init__(self, counts: NDArray[np.int_]) -> None:
        self._counts = counts
        self._up_to: list[int] = counts.cumsum().tolist()
        self.total: int = self._up_to[-1]

    @classmethod
    def of(cls, grey: Image.Image, every: int = 3) -> "_Histogram":
        """Where there are many pixels, of every third column and row."""
        step = every if min(grey.size) >= WORK_SIDE // 2 else 1
        return cls(np.bincount(pixels_of(grey)[::step, ::step].ravel(), minlength=256))

    def is_even(self) -> bool:
        return self.quantile(1) - self.quantile(1 / self.total) <= FLATNESS

    def inverted(self) -> "_Histogram":
        return _Histogram(self._counts[::-1])

    def commonest(self) -> int:
        return int(self._counts.argmax())

    def commonest_light(self) -> int:
        """Of the lighter half of the range."""
        middle = (self.quantile(1 / self.total) + self.quantile(1)) // 2
        return middle + int(self._counts[middle:].argmax())

    def below(self, level: int) -> int:
        """How many pixels are darker than this level, which may be beyond the last one."""
        return self._up_to[min(level, 256) - 1] if level > 0 else 0

    def about(self) -> NDArray[np.int_]:
        """For every level, how many pixels lie within FLATNESS of it."""
        return np.convolve(self._counts, _WINDOW, mode="same")

    def quantile(self, share: float) -> int:
        """The level up to which this share of the pixels lies."""
        return bisect_left(self._up_to, self.total * share)


def _clear_polarity(histogram: _Histogram) -> bool | None:
    """Whether ink is the lighter, where nothing but ink stands out from the ground, as in most drawings."""
    level = histogram.commonest()
    darker = histogram.below(level - FLATNESS)
    lighter = histogram.total - histogram.below(level + FLATNESS + 1)
    strays, most = STRAY_SHARE * histogram.total, (1 - CLEAR_SHARE) * histogram.total
    if min(darker, lighter) > strays or max(darker, lighter) > most:
        return None
    return lighter > darker


def _corners(work: Image.Image) -> tuple[int, ...]:
    right, bottom, level = work.width - 1, work.height - 1, work.im.getpixel
    return level((0, 0)), level((right, 0)), level((0, bottom)), level((right, bottom))


def _flat_ground(histogram: _Histogram) -> int | None:
    """The one grey level of a ground that is as flat as a drawing program's, or None.

    Much of such a picture lies on that level, and no other level between it and the ink is as common:
    where one is, it is a shadow or a second sheet. Where much lies beyond it, it is itself the shadow.
    """
    about = histogram.about()
    level = int(about.argmax())
    low, high = _between(histogram, level)
    between = about[low:high].max(initial=0)
    beyond = histogram.total - histogram.below(level + 2 * FLATNESS + 1)
    flat = about[level] >= FLAT_SHARE * histogram.total and between < SHADOW_SHARE * histogram.total
    return level if flat and beyond < LIT_SHARE * histogram.total else None


def _between(histogram: _Histogram, level: int) -> tuple[int, int]:
    """The levels between the ink, from the darkest on, and the ground at `level`: low, high (exclusive)."""
    darkest = histogram.quantile(1 / histogram.total)
    return darkest + (level - darkest) // 6, max(0, level - 2 * FLATNESS)


def _in_shadow(work: Image.Image, histogram: _Histogram, level: int, reverse: bool) -> bool:
    """Whether much lies between ground and ink, on the border too: shadows reach it, digits hardly do.

    Noise spreads a shadow over many levels, so that none is common.
    """
    low, high = _between(histogram, level)
    share = (histogram.below(high) - histogram.below(low)) / histogram.total
    if share < SIDE_SHADE:
        return False
    sides = [255 - side if reverse else side for side in border(pixels_of(work))]
    shaded = [(side >= low) & (side < high) for side in sides]
    if max(side.mean() for side in shaded) >= SIDE_SHARE:
        return True
    return share >= HALF_SHARE and float(np.concatenate(shaded).mean()) >= BORDER_SHARE
