"""What the model saw, and which ink mattered to it: asked for with `?explain=true`.

Saliency by occlusion (Zeiler and Fergus 2014, section 4.2): a window is blanked everywhere in turn; where
the answer's probability drops, what was there mattered. It needs nothing of a model but its answers.
"""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.pictures.digits.mnist_form import SIDE
from service.pictures.images import Finding

WINDOW, STRIDE = 6, 2
_PLACES = [(y, x) for y in range(0, SIDE - WINDOW + 1, STRIDE) for x in range(0, SIDE - WINDOW + 1, STRIDE)]
ROWS = 1 + len(_PLACES)


def occluded(pixels: bytes) -> NDArray[np.uint8]:
    """28×28 bytes → `images_u8 [ROWS, 1, 28, 28]`: as it is, then once for each place of the window."""
    rows = np.tile(np.frombuffer(pixels, np.uint8).reshape(1, SIDE, SIDE), (ROWS, 1, 1, 1))
    for row, (y, x) in enumerate(_PLACES, 1):
        rows[row, :, y : y + WINDOW, x : x + WINDOW] = 0
    return rows


def explanation(finding: Finding, probabilities: Sequence[Sequence[float]]) -> dict[str, Any]:
    """`probabilities`: the answers to the rows of `occluded`, in order."""
    whole = probabilities[0]
    digit = max(range(len(whole)), key=whole.__getitem__)
    drops = [max(0.0, whole[digit] - row[digit]) for row in probabilities[1:]]
    prepared = finding.digit
    return {
        "image": _data_url(Image.frombytes("L", (SIDE, SIDE), prepared.pixels)),
        "polarity": "light-on-dark" if prepared.ink_is_light else "dark-on-light",
        "box": finding.box,
        "boxes": finding.boxes,
        "saliency": _data_url(Image.fromarray(_saliency(drops))),
    }


def _saliency(drops: Sequence[float]) -> NDArray[np.uint8]:
    """For each pixel the mean drop over the windows that covered it; the largest becomes 255."""
    total, count = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
    for drop, (y, x) in zip(drops, _PLACES, strict=True):
        total[y : y + WINDOW, x : x + WINDOW] += drop
        count[y : y + WINDOW, x : x + WINDOW] += 1
    mean = total / count
    levels: NDArray[np.uint8] = (mean * (255 / max(mean.max(), 1e-9))).astype(np.uint8)
    return levels


def _data_url(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
