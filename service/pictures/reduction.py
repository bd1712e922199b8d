"""A large picture → a smaller one that looks the same, a band of rows at a time.

Whatever is done with a picture makes copies of it, most of them of four bytes a pixel: of a large one they
would be a gigabyte. Of so many pixels as are left here, all together are less than the large one was.
"""

import math

from PIL import Image

from service.pictures.modes import COLOUR_KEY, WITH_ALPHA

ROOM = 4_000_000  # pixels, which is more than most models need: of a digit 140 × 140 are looked at
BAND = 1 << 18  # pixels that are converted at a time

_LEAN = ("1", "L", "F")  # of these, and of whole numbers, copies are small or made band by band


def factor_for(size: tuple[int, int]) -> int:
    """By how much its sides are divided."""
    return math.ceil(math.sqrt(size[0] * size[1] / ROOM))


def smaller(size: tuple[int, int], factor: int) -> tuple[int, int]:
    return -(-size[0] // factor), -(-size[1] // factor)


def reduced(picture: Image.Image, factor: int) -> Image.Image:
    """Smaller by this factor, each pixel the mean of those in its place. A palette's colours become RGB.

    Or the picture itself, where it is lean, or has transparent parts, which `transparency` has in hand.
    """
    keyed, deep = COLOUR_KEY in picture.info, picture.mode.startswith("I")
    if factor == 1 or (not keyed if deep else keyed or picture.mode in (*_LEAN, *WITH_ALPHA)):
        return picture
    if picture.palette is not None and picture.palette.mode == "RGBA":
        return picture
    return _sampled(picture, factor) if deep else _averaged(picture, factor)


def _sampled(picture: Image.Image, factor: int) -> Image.Image:
    """One pixel of each place: the mean of levels with one that is not shown would be neither."""
    small = picture.resize(smaller(picture.size, factor), Image.Resampling.NEAREST)
    small.info = picture.info
    return small


def _averaged(picture: Image.Image, factor: int) -> Image.Image:
    mode = "RGB" if picture.mode in ("P", "HSV") else picture.mode
    small = Image.new(mode, smaller(picture.size, factor))
    rows = max(1, BAND // (picture.width * factor)) * factor
    for top in range(0, picture.height, rows):
        band = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        small.paste((band if band.mode == mode else band.convert(mode)).reduce(factor), (0, top // factor))
    return small
