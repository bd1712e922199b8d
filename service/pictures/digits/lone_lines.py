"""Lines so thin, in a picture so large, that the means of its pixels leave nothing of them."""

import numpy as np
from PIL import Image

from service.pictures.digits.components import components_of
from service.pictures.digits.ground import INK_SHARE, WORK_SIDE, find_ink
from service.pictures.digits.morphology import pixels_of
from service.pictures.digits.strokes import CLEAR_CONTRAST, GRAIN_LEVEL, LINE_SHARE

FAINTER = 8  # times as faint as it is, on the means, is a line of one pixel that is looked for
# Of the ink, so much is in parts as long as no grain or dust; of these, so wide is the mean, in pixels.
IN_LINES, WIDEST = 0.9, 5


def with_lone_lines(picture: Image.Image) -> Image.Image | None:
    """L, of work size; None where that shows anything but thin lines off the border, or not even these.

    Of the pixels in the place of one, the lightest or the darkest: those that stand out by more. So does
    dust, but it does not hang together.
    """
    factor = max(picture.size) // WORK_SIDE
    wide, high = (side // factor for side in picture.size) if factor >= FAINTER else (0, 0)
    if not min(wide, high):
        return None
    rows = np.empty((2, high, wide * factor), dtype=np.uint8)
    for row in range(high):  # a large picture is not copied
        strip = pixels_of(picture.crop((0, row * factor, wide * factor, (row + 1) * factor)).convert("L"))
        strip.max(axis=0, out=rows[0, row])
        strip.min(axis=0, out=rows[1, row])
    lightest, darkest = (of_rows.reshape(high, wide, factor) for of_rows in rows)
    lightest, darkest = lightest.max(axis=2), darkest.min(axis=2)
    usual = pixels_of(picture.reduce(factor).convert("L"))[:high, :wide].astype(np.int16)
    lighter, darker = (np.quantile(np.abs(tiles - usual), 1 - INK_SHARE) for tiles in (lightest, darkest))
    seen = Image.fromarray(lightest if lighter > darker else darkest)
    return seen if _is_of_lines(seen) else None


def _is_of_lines(seen: Image.Image) -> bool:
    ink = find_ink(seen)
    on_ink = pixels_of(ink.image) > GRAIN_LEVEL * ink.peak
    components = components_of(on_ink) if ink.peak >= CLEAR_CONTRAST else None
    if not components:
        return False
    left, top, right, bottom = components.boxes().T
    lengths = np.maximum(right - left, bottom - top)
    sizes = components.sizes()
    are_long = (sizes > 0) & (lengths >= LINE_SHARE * max(seen.size))
    if (are_long & np.logical_or.reduce(components.at_borders())).any():
        return False  # printed ones do, and edges
    ink_of_long = sizes[are_long].sum()
    return bool(ink_of_long >= IN_LINES * sizes.sum() and ink_of_long <= WIDEST * lengths[are_long].sum())
