"""Grey morphology on small pictures (Serra 1982), as running extremes in NumPy.

Pillow's rank filters sort every window anew: for windows of 9 pixels they take ten times as long.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def pixels_of(grey: Image.Image) -> Pixels:
    """`u8 [height, width]`, read-only, of a loaded picture: `np.asarray` in two fifths of its time."""
    encoder = Image.core.raw_encoder("L", "L", 0, 1)  # type: ignore[attr-defined]
    encoder.setimage(grey.im, (0, 0, *grey.size))
    _, _, pixels = encoder.encode(grey.width * grey.height)
    return np.frombuffer(pixels, np.uint8).reshape(grey.height, grey.width)


def border(grey: Pixels) -> tuple[Pixels, ...]:
    """The outermost line of every side, as views."""
    return grey[0], grey[-1], grey[:, 0], grey[:, -1]


def continued(grey: Pixels, margin: int) -> Pixels:
    """With so many pixels more on every side, as they are on the border."""
    return np.pad(grey, margin, mode="edge")


def closed(grey: Pixels, width: int) -> Pixels:
    """Grey closing: what is dark and narrower than `width` is filled with the levels around it.

    The border goes with it: `width` - 1 pixels on every side.
    """
    return _running(_running(grey, width, np.maximum), width, np.minimum)


def opened(grey: Pixels, width: int) -> Pixels:
    """Grey opening: what is light and narrower than `width` is taken away, and the border likewise."""
    return _running(_running(grey, width, np.minimum), width, np.maximum)


def dilated(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """With all that lies within so many pixels of it, diagonally too."""
    high, wide = mask.shape
    canvas = np.zeros((high + 2 * reach, wide + 2 * reach), dtype=np.bool_)
    canvas[reach:-reach, reach:-reach] = mask
    return _running(canvas, 2 * reach + 1, np.logical_or)


def eroded(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Where a square of `width` pixels lies within it, called by its upper left corner."""
    return _running(mask, width, np.logical_and)


def _running(grey: NDArray[Any], width: int, extreme: np.ufunc) -> NDArray[Any]:
    """The greatest or the least of every square of `width` pixels, by squares of doubled width."""
    span = 1
    while span < width:
        step = min(span, width - span)
        grey = extreme(grey[step:], grey[:-step])
        if grey.ndim > 1:  # else it is a line
            grey = extreme(grey[:, step:], grey[:, :-step])
        span += step
    return grey
