"""The form in which MNIST stores its digits: light ink on a ground of 0.

The longest side of the ink is 20 pixels, its centre of mass in the centre of 28×28 (LeCun, Bottou,
Bengio and Haffner 1998, section III.A).
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.pictures.digits.components import Box
from service.pictures.digits.ground import mapped
from service.pictures.digits.light import scaled_size
from service.pictures.digits.morphology import Pixels, pixels_of

SIDE = 28
INK_SIDE = 20
CENTRE_OF_MASS = 14.5  # from the left and the top edge: the middle of pixel (14, 14), as in MNIST itself

_LEVELS = np.arange(256)

# A 28×28, 8-bit picture: its pixels, row by row, and the box of what is not 0.
Decoded = tuple[bytes, Box | None]

# MNIST's own 70,000 pictures: the longest side of the ink, its strongest pixel, and its centre of mass.
MNIST_INK_SIDES, MNIST_PEAKS, MNIST_CENTRE = (19, 20), (b"\xff", b"\xfe"), (13.9, 15.1)


def in_mnist_form(pictures: Sequence[Decoded]) -> list[bool]:
    """Which of them have that form as they are. Cheap, as most that come do; cheapest for many at once."""
    pixels_u8 = np.frombuffer(b"".join([pixels for pixels, _ in pictures]), np.uint8)
    sums = _sums(pixels_u8.reshape(-1, SIDE * SIDE), (SIDE, SIDE))
    return [_has_form(*picture, *of_one) for picture, of_one in zip(pictures, sums, strict=True)]


def _has_form(pixels: bytes, box: Box | None, mass: float, x: float, y: float) -> bool:
    low, high = mass * MNIST_CENTRE[0], mass * MNIST_CENTRE[1]
    return (
        box is not None
        and low <= x <= high
        and low <= y <= high
        and max(box[2] - box[0], box[3] - box[1]) in MNIST_INK_SIDES
        and (MNIST_PEAKS[0] in pixels or MNIST_PEAKS[1] in pixels)
    )


def _sums(pictures_u8: Pixels, size: tuple[int, int]) -> list[list[float]]:
    """Of pictures `u8 [N, pixels]` of one size: mass, and moments about the left and the upper edge.

    A moment over the mass is the centre of mass. Exact, as all are multiples of a half below 2^23.
    """
    sums: list[list[float]] = np.dot(pictures_u8.astype(np.float32), _moments(size)).tolist()
    return sums


@cache
def _moments(size: tuple[int, int]) -> NDArray[np.float32]:
    """[pixels, 3]: pixels times it are their sum, and the sums of their moments about two edges."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width] + 0.5
    return np.stack([np.ones(width * height), x.ravel(), y.ravel()], axis=1).astype(np.float32)


def scaled(ink: Image.Image, scale: float) -> Image.Image:
    """Full ink to 255."""
    small = ink.resize(scaled_size(ink.size, scale), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return mapped(small, steps(0, max(1, small.getextrema()[1])))


def centred(digit: Image.Image, fringe: int = 0) -> bytes:
    """On 28×28, the centre of mass as near to the middle as whole pixels and the borders allow.

    So much of a `fringe` around it may lie beyond the borders.
    """
    pixels = pixels_of(digit)
    ((mass, *moments),) = _sums(pixels.reshape(1, -1), digit.size)
    x, y = (moment / max(1, mass) for moment in moments)
    left = min(max(-fringe, round(CENTRE_OF_MASS - x)), SIDE - digit.width + fringe) + fringe
    top = min(max(-fringe, round(CENTRE_OF_MASS - y)), SIDE - digit.height + fringe) + fringe
    canvas = np.zeros((SIDE + 2 * fringe, SIDE + 2 * fringe), dtype=np.uint8)
    canvas[top : top + digit.height, left : left + digit.width] = pixels
    return canvas[fringe : fringe + SIDE, fringe : fringe + SIDE].tobytes()


@cache
def steps(low: float, high: float) -> list[int]:
    """A table: levels up to `low` become 0, from `high` on 255. Few, so they are kept."""
    table: list[int] = np.clip((_LEVELS - low) * (255 / (high - low)), 0, 255).round().astype(int).tolist()
    return table
