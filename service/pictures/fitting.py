"""A picture → the row of a model that takes pictures of one size, as torchvision's transforms make it.

"crop" is `Resize` and `CenterCrop`, the usual preparation of ImageNet's pictures; "stretch" is `Resize` to
both sides. Bilinear with antialiasing, as Pillow does it; what is cut away is not computed.
"""

from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from service.pictures.orientation import (
    FROM_BOTTOM,
    FROM_RIGHT,
    SIDEWAYS,
    UPRIGHT,
    Size,
    upright,
    upright_size,
)
from service.pictures.reduction import ROOM, factor_for

# Up to so many pixels all count, and the row is torchvision's to the bit. Larger pictures may be read at a
# part of their size that leaves so many times as many pixels a side as are needed.
EXACT_PIXELS, AMPLE = 1_000_000, 2

MOST_SCALED = 4_000_000  # pixels; a long and narrow picture would have many, of which few are cut out

_JPEG_SCALES = (8, 4, 2)  # by which its decoder divides the sides

Resize = Literal["crop", "stretch", "mnist", "each"]  # "each": every digit of a number, as "mnist" has one
Span = tuple[float, float]


class Fit(NamedTuple):
    """The rows that a model takes: `uint8 [channels, height, width]`, grey levels or red, green and blue.

    `resize_to`: of "crop", how long the shorter side becomes; 0: as long as is needed.
    """

    height: int
    width: int
    channels: int
    resize: Resize
    resize_to: int = 0

    def scaled(self, size: Size) -> Size:
        """To which an upright picture is scaled before its middle is cut out; rounded down, as there."""
        width, height = size
        if self.resize == "stretch":
            return self.width, self.height
        if self.resize_to:
            is_upright = width <= height
            scaled_width = scaled_height = self.resize_to
        else:
            is_upright = width * self.height <= height * self.width
            scaled_width, scaled_height = self.width, self.height
        if is_upright:
            return scaled_width, scaled_width * height // width
        return scaled_height * width // height, scaled_height

    def factor(self, size: Size, is_jpeg: bool) -> int:
        """By how much the sides of an upright picture may be divided while it is read."""
        at_most = min(
            side // (AMPLE * needed) for side, needed in zip(size, self.scaled(size), strict=True)
        )
        if not is_jpeg:
            return max(1, min(at_most, factor_for(size)))
        is_large = size[0] * size[1] > EXACT_PIXELS
        return next((scale for scale in _JPEG_SCALES if scale <= at_most and is_large), 1)


def is_resized_first(picture: Image.Image) -> bool:
    """A large one in colours that can be averaged as they are: in others it would be held twice."""
    return picture.mode in ("CMYK", "YCbCr", "LAB") and picture.width * picture.height > ROOM


def resized(picture: Image.Image, size: Size, factor: int, orientation: int, fit: Fit) -> Image.Image:
    """The part of a picture that the model sees, upright.

    `size`: as it was, stored, before its sides were divided by `factor`, if they were.
    """
    if picture.width * picture.height <= EXACT_PIXELS:
        picture, size, orientation = (
            upright(picture, orientation),
            upright_size(size, orientation),
            UPRIGHT,
        )
    turned = upright_size(size, orientation)
    scaled = fit.scaled(turned)
    extent = size if picture.size == size else (size[0] / factor, size[1] / factor)
    if scaled[0] * scaled[1] > MOST_SCALED:
        return _middle(picture, extent, _shares(scaled, fit), orientation, fit)
    whole = picture.resize(upright_size(scaled, orientation), Image.Resampling.BILINEAR, (0, 0, *extent))
    left, top = _corner(scaled, fit)
    return upright(whole, orientation).crop((left, top, left + fit.width, top + fit.height))


def _middle(
    picture: Image.Image, extent: tuple[float, float], shares: tuple[Span, Span], orientation: int, fit: Fit
) -> Image.Image:
    """Nothing else of it is computed; Pillow rounds where it lies, so levels may be off by one or two."""
    (across, down), target = shares, (fit.width, fit.height)
    if orientation in SIDEWAYS:
        across, down, target = down, across, target[::-1]
    left, right = _from_other_end(across) if orientation in FROM_RIGHT else across
    top, bottom = _from_other_end(down) if orientation in FROM_BOTTOM else down
    width, height = extent
    box = left * width, top * height, right * width, bottom * height
    return upright(picture.resize(target, Image.Resampling.BILINEAR, box), orientation)


def _corner(scaled: Size, fit: Fit) -> Size:
    """Of what is cut out; a half is rounded to the even number, as there."""
    return round((scaled[0] - fit.width) / 2), round((scaled[1] - fit.height) / 2)


def _shares(scaled: Size, fit: Fit) -> tuple[Span, Span]:
    """From where to where it is seen, across and down."""
    (left, top), (width, height) = _corner(scaled, fit), scaled
    return (left / width, (left + fit.width) / width), (top / height, (top + fit.height) / height)


def _from_other_end(span: Span) -> Span:
    return 1 - span[1], 1 - span[0]


def in_channels(picture: Image.Image, fit: Fit) -> Image.Image:
    """L or RGB → L where the model takes grey levels: luma (ITU-R BT.601)."""
    return picture.convert("L") if fit.channels == 1 and picture.mode != "L" else picture


def row_of(picture: Image.Image, fit: Fit) -> bytes:
    """`picture`: L or RGB, of the size that fits."""
    levels = np.asarray(in_channels(picture, fit))
    return levels.tobytes() * fit.channels if levels.ndim == 2 else levels.transpose(2, 0, 1).tobytes()
