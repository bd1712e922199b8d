"""What is behind a picture's transparent parts: white; or paper that its ink shows on, or its own ground.

Most pictures are shown on white (`on_white`). A digit that is drawn on nothing needs a paper. A drawing
that has a ground of its own and a transparent margin needs that ground, or its sheet would be the ink. They
differ in width: a sheet is wide where strokes are narrow.
"""

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.pictures.digits.components import Box, Mask
from service.pictures.digits.ground import LUMA
from service.pictures.digits.light import scaled_size
from service.pictures.digits.morphology import dilated, eroded

SAMPLE_SIDE = 64  # pixels, at the most, at which it is told what is ink and what is ground
# Pixels up to which all are kept, and which are put on their ground at once: large pictures are not copied.
WHOLE, STRIP = 16_000_000, 1 << 18

LIGHT_INK = 200  # level from which what is drawn on a transparent ground shows on black alone

# The side of a square within what is opaque, over the longest side.
SHEET_WIDTH = 0.35  # no stroke is so wide: it is a sheet with something on it
BLANK_SHEET_WIDTH = 0.6  # a sheet even where nothing is drawn on it
# Between two colours, the largest difference of R, G and B.
SAME = 24  # at the most, where they are of one ground
OTHER = 60  # at the least, of ink from the ground in an outlined digit
DRAWN_SHARE = 0.01  # of what is opaque: with no more of another colour, nothing is drawn on it
RIM_SHARE = 0.8  # of the rim of what is opaque, at the least, has the colour of a ground
FILLED_SHARE = 0.1  # of what is opaque, at the least, is the ink of an outlined digit
COMMON_SHARE = 0.3  # of what is opaque has the colour of its ground

_WHITE = [255, 255, 255]

Colours = NDArray[np.int16]  # [N, 3]


class _Ground(NamedTuple):
    """What lies behind a picture: RGBA, of one pixel or as coarse as the sample.

    `cover`: a table, by which the picture's own opacity counts.
    """

    image: Image.Image
    cover: list[int] | None = None


def on_its_ground(picture: Image.Image) -> Image.Image:
    """Any mode with transparency → RGB; of more than WHOLE pixels a smaller one, by a whole factor.

    Alpha that is 0 everywhere says nothing: some programs leave it so, and viewers show what is there.
    """
    factor = ceil((picture.width * picture.height / WHOLE) ** 0.5)
    if factor == 1 and _is_opaque(picture):
        return picture.convert("RGB")
    size = scaled_size(picture.size, min(1.0, SAMPLE_SIDE / max(picture.size)))
    sample = _with_straight_alpha(picture.resize(size, Image.Resampling.NEAREST))
    boxes = list(_strips(picture, factor))
    if sample.getchannel("A").getbbox() or any(_alpha_of(picture, box).getbbox() for box in boxes):
        ground = _ground_of(sample)
    else:
        ground = _plain(_WHITE)._replace(cover=[255] * 256)
    return _all_on(ground, picture, boxes, factor)


def on_white(picture: Image.Image, factor: int) -> Image.Image:
    """Likewise, on white whatever is drawn; smaller by this factor."""
    if factor == 1 and _is_opaque(picture):
        return picture.convert("RGB")
    boxes = list(_strips(picture, factor))
    seen = any(_alpha_of(picture, box).getbbox() for box in boxes)
    ground = _plain(_WHITE)._replace(cover=None if seen else [255] * 256)
    return _all_on(ground, picture, boxes, factor)


def _is_opaque(picture: Image.Image) -> bool:
    return picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255)


def _all_on(ground: _Ground, picture: Image.Image, boxes: list[Box], factor: int) -> Image.Image:
    """The picture, RGB, smaller by this factor."""
    if len(boxes) == 1 and factor == 1:
        return _put_on(ground, picture, boxes[0])
    canvas = Image.new("RGB", (-(-picture.width // factor), -(-picture.height // factor)))
    for box in boxes:
        canvas.paste(_put_on(ground, picture, box).reduce(factor), (0, box[1] // factor))
    return canvas


def _strips(picture: Image.Image, factor: int) -> Iterator[Box]:
    """From top to bottom, of about STRIP pixels each, of a multiple of `factor` rows."""
    height = factor * max(1, STRIP // (factor * picture.width))
    for top in range(0, picture.height, height):
        yield 0, top, picture.width, min(picture.height, top + height)


def _alpha_of(picture: Image.Image, box: Box) -> Image.Image:
    return _with_straight_alpha(picture.crop(box)).getchannel("A")


def _with_straight_alpha(picture: Image.Image) -> Image.Image:
    """RGBA. Pillow 13 converts La, grey under its own alpha, to nothing: it goes by way of RGBa."""
    if picture.mode == "La":
        grey, alpha = picture.split()
        picture = Image.merge("RGBa", (grey, grey, grey, alpha))
    return picture.convert("RGBA")


def _put_on(ground: _Ground, picture: Image.Image, box: Box) -> Image.Image:
    """A strip of the picture, RGB."""
    strip = _with_straight_alpha(picture.crop(box))
    if ground.cover:
        strip.putalpha(strip.getchannel("A").point(ground.cover))
    if ground.image.size == (1, 1):
        behind = Image.new("RGBA", strip.size, ground.image.getpixel((0, 0)))
    else:
        scale = ground.image.height / picture.height
        part = (0, box[1] * scale, ground.image.width, box[3] * scale)
        behind = ground.image.resize(strip.size, Image.Resampling.BILINEAR, part)
    return Image.alpha_composite(behind, strip).convert("RGB")


def _ground_of(sample: Image.Image) -> _Ground:
    """`sample`: RGBA."""
    pixels = np.asarray(sample)
    cover = pixels[..., 3]
    core = cover >= max(1, int(cover.max()) // 2)
    if not core.any():
        return _plain(_WHITE)
    colours = pixels[core][:, :3].astype(np.int16)
    inner = ~dilated(~core, 1)
    of_inner = colours[inner[core]]
    drawn = np.count_nonzero(_distance(of_inner, _median(colours)) > SAME)
    is_uniform = drawn <= DRAWN_SHARE * len(colours)
    at_rim = ~inner[core]
    rim = colours[at_rim] if at_rim.any() else colours
    width = _width(core)
    if width < (BLANK_SHEET_WIDTH if is_uniform else SHEET_WIDTH) or (is_uniform and _has_holes(core)):
        outline = None if is_uniform else _outline(colours, rim)
        return _plain(outline or _paper(colours))
    return _sheet(sample, core, colours, rim)


def _width(core: Mask) -> float:
    """The side of the greatest square in it, over its longest side: one of the two shares, or 0."""
    rows, columns = (np.flatnonzero(core.any(axis)) for axis in (1, 0))
    longest = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    for share in (BLANK_SHEET_WIDTH, SHEET_WIDTH):
        side = max(1, round(share * longest))
        if min(core.shape) >= side and eroded(core, side).any():
            return share
    return 0.0


def _has_holes(core: Mask) -> bool:
    """Whether something transparent has what is opaque on all four sides: a digit cut out of a sheet."""
    before = [np.logical_or.accumulate(core, axis) for axis in (0, 1)]
    after = [np.flip(np.logical_or.accumulate(np.flip(core, axis), axis), axis) for axis in (0, 1)]
    return bool((~core & np.logical_and.reduce([*before, *after])).any())


def _distance(colours: Colours, colour: list[int]) -> NDArray[np.int16]:
    red, green, blue = np.abs(colours - np.array(colour, dtype=np.int16)).T
    greatest: NDArray[np.int16] = np.maximum(np.maximum(red, green), blue)
    return greatest


def _median(colours: Colours) -> list[int]:
    """Of each channel, the middle level that occurs."""
    middle: list[int] = np.partition(colours, len(colours) // 2, axis=0)[len(colours) // 2].tolist()
    return middle


def _plain(colour: list[int]) -> _Ground:
    red, green, blue = colour
    return _Ground(Image.new("RGBA", (1, 1), (red, green, blue, 255)))


def _paper(colours: Colours) -> list[int]:
    """White, or black under ink that is light itself."""
    return [0, 0, 0] if np.median(colours @ LUMA) > LIGHT_INK else _WHITE


def _outline(colours: Colours, rim: Colours) -> list[int] | None:
    """The colour of the outline of narrow ink that is filled with another, or None."""
    colour = _median(rim)
    filled = (_distance(colours, colour) > OTHER).mean() >= FILLED_SHARE
    return colour if filled and (_distance(rim, colour) <= SAME).mean() >= RIM_SHARE else None


def _sheet(sample: Image.Image, core: Mask, colours: Colours, rim: Colours) -> _Ground:
    """Its own ground. What is less than half as opaque as it is not of it: soft edges, its shadow."""
    cover = np.asarray(sample)[..., 3]
    usual = float(np.median(cover[core]))
    table = np.clip((np.arange(256) - usual / 2) * (510 / usual), 0, 255).round().astype(int).tolist()
    colour = _median(rim)
    if (_distance(rim, colour) <= SAME).mean() >= RIM_SHARE:
        if (_distance(colours, colour) <= SAME).mean() < COMMON_SHARE:
            colour = _median(colours)  # a frame runs around the sheet
        return _plain(colour)._replace(cover=table)
    sample.putalpha(Image.fromarray(core.view(np.uint8) * np.uint8(255)))
    return _Ground(_continued(sample), table)


def _continued(sample: Image.Image) -> Image.Image:
    """What is transparent takes on the colours around it, by push and pull (Gortler et al. 1996)."""
    if max(sample.size) == 1 or sample.getchannel("A").getextrema() == (255, 255):
        return sample.convert("RGB").convert("RGBA")
    coarse = _continued(sample.reduce(2))
    return Image.alpha_composite(coarse.resize(sample.size, Image.Resampling.BILINEAR), sample)
