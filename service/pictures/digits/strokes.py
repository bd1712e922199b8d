"""The strokes of a digit, their width, and what lies beside it: specks, and what the border cuts off."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from service.pictures.digits.components import Components, Mask, box_of, components_of
from service.pictures.digits.ground import mapped, strongest
from service.pictures.digits.light import LEAST_CONTRAST
from service.pictures.digits.morphology import Pixels, continued, dilated, opened, pixels_of
from service.pictures.digits.printed.beside import lines_beside
from service.pictures.digits.printed.rules import (
    LEAST_BESIDE_LINES,
    edges_of,
    frames,
    keeps_to_border,
    lines,
    remains,
)

Weights = NDArray[np.float64]  # of components

GROUP_SIDE = 56  # the longest side, in pixels, up to which pixels are grouped into strokes
SPECK_SHARE = 0.04  # of the ink of the largest stroke; what has less is dropped

# What touches the border is a stroke of a digit that is near it: their distance, over the longest side of
# both.
NEAR = 0.13
NEAR_OF_LARGER = 0.35  # where what touches the border is the larger part
BESIDE = 1.05  # width over height of both: where they are wider, and side by side, it is the next digit
FREE_SHARE = 0.1  # of the ink of the largest stroke has what stands free of the border, or it is no digit
# What is no stroke at all: its width over its length.
EDGE = 0.25  # at the most, where it touches three borders: the edge of a table
CORNER = 0.5  # at the least, where it fills a corner
ALONG = 0.95  # of its length touches the border

# Thin lines and grain, in shares of `peak`.
THIN_LINE = 0.35  # where less is left of ink when it is blurred, its lines are thin
THIN_ON_UNEVEN = 0.5  # likewise on uneven ground, where a pen's lines are wider
SOLID = 0.6  # where so much is left on a quarter of the pixels, lines are not thin
GRAIN_LEVEL = 0.4  # from which on ink and grain hang together
# Grey levels.
CLEAR_CONTRAST = 100  # what stands out by so much is no grain
THIN_CONTRAST = 170  # what stands out by so much from a flat ground is no thin line
# Spots that hang together, the longest first: the first is a line where it is so long, else all are grain.
LINE_SHARE = 1 / 7  # of the longest side
COMMON_GRAIN, LONGER = 9, 4  # so many times as long as the one of this index

SHADE = 7  # pixels: what fills a square of them is no thin line
USUAL = 0.5  # of a thin line's pixels have no higher level than its full one; others cross or run aslant
_THRICE = [min(3 * level, 255) for level in range(256)]

# Stroke width over the longest side of the ink. Outside this range strokes are thickened or thinned;
# of MNIST's digits themselves 98 % lie inside. It is measured on half of the pixels where they are so many.
THINNEST, THICKEST = 0.075, 0.22
HALVED_SIDE = 80


def without_grain(ink: Image.Image, peak: int, is_flat: bool) -> tuple[Image.Image, int] | None:
    """Ink and its peak; None where it is but the grain of the paper, which is gone when it is blurred.

    So are thin lines of large pictures, but they hang together over a length that no grain has. They are
    made wider, as what follows looks at fewer pixels.
    """
    if is_flat and peak >= THIN_CONTRAST:
        return ink, peak
    if peak >= CLEAR_CONTRAST and pixels_of(ink.reduce(4)).max() >= SOLID * peak:
        return ink, peak
    blurred = ink.filter(ImageFilter.BoxBlur(2))
    on_ink = pixels_of(ink) > GRAIN_LEVEL * peak
    is_clear = peak >= CLEAR_CONTRAST or strongest(blurred) >= LEAST_CONTRAST
    thin = (THIN_LINE if is_flat else THIN_ON_UNEVEN) * peak
    if is_clear and np.median(pixels_of(blurred)[on_ink]) >= thin:
        return ink, peak
    components = components_of(on_ink)
    if components:
        left, top, right, bottom = components.boxes()[np.unique(components.groups)].T
        lengths = np.sort(np.maximum(right - left, bottom - top))[::-1]
        usual = lengths[COMMON_GRAIN] if len(lengths) > COMMON_GRAIN else 0
        if lengths[0] >= max(LINE_SHARE * max(ink.size), LONGER * usual):
            return widened(ink, peak)
    return (ink, peak) if is_clear else None


def widened(ink: Image.Image, peak: int) -> tuple[Image.Image, int]:
    """Sums of three by three pixels, over the three of a line: as strong where it runs between two."""
    wide = mapped(_narrow(ink).filter(ImageFilter.BoxBlur(1)), _THRICE)
    levels = pixels_of(wide)
    of_lines = levels[levels > GRAIN_LEVEL * peak]
    return (wide, int(np.quantile(of_lines, USUAL))) if of_lines.size else (ink, peak)


def _narrow(ink: Image.Image) -> Image.Image:
    """Without what is wider than a thin line, as a rest of shade: three times as dark it would be ink."""
    levels = pixels_of(ink)
    return Image.fromarray(levels - opened(continued(levels, SHADE - 1), SHADE))


class Grouped(NamedTuple):
    """Ink on so few pixels that its strokes can be told apart: `coarse` times fewer on a side.

    `levels u8 [height, width]`; the mask of what is ink, and its components where there are several, or but
    one that keeps to the border; `level`: of a stroke, over the peak.
    """

    levels: Pixels
    on_ink: Mask
    components: Components | None
    coarse: int
    level: float


def grouped(ink: Image.Image, peak: int, level: float, sure: float = 0.0) -> Grouped:
    """`sure`: a higher level, which some of every stroke has, where there may be grain."""
    coarse = -(-max(ink.size) // GROUP_SIDE)
    reduced = ink.reduce(coarse)
    small = pixels_of(reduced)
    on_ink = _strokes(small, level * peak, sure * peak)
    least = 2
    if keeps_to_border(on_ink):
        if not sure:
            on_ink = small > level / 2 * peak  # thin slanted lines are faint where they change columns
        least = 1
    left, _, right, _ = reduced.getbbox() or (0, 0, 0, 0)
    if right - left == reduced.width and on_ink[:, 0].any() and on_ink[:, -1].any():
        least = 1
    return Grouped(small, on_ink, components_of(on_ink, least), coarse, level)


def _strokes(levels: Pixels, low: float, high: float) -> Mask:
    """All above `low` that hangs together with anything above `high`, if that is set (Canny 1986)."""
    on_ink = levels > low
    components = components_of(on_ink) if high else None
    return components.mask_of(components.weights(levels > high) > 0) if components else on_ink


def without_specks(
    ink: Image.Image, peak: int, groups: Grouped, fringe: float, erased: bool = False
) -> Image.Image:
    """Erase specks, printed lines, and what hangs at the border while a digit stands free of it.

    What is fainter than a stroke stays within `fringe` pixels of what stays. `erased`: whether lines were.
    All is erased where there are lines alone.
    """
    small, on_ink, components, coarse, level = groups
    if not components:
        return ink
    weights = components.weights(small)
    at_border = keeps_to_border(on_ink)
    if at_border or any(line.any() for line in (on_ink[0], on_ink[-1], on_ink[:, 0], on_ink[:, -1])):
        edges = edges_of(pixels_of(ink) > level * peak, coarse)
        printed, left_over = lines(components, edges), remains(components, edges, erased)
        weights = _of_strokes(components, weights, printed, left_over)
    if weights.any() and not components.groups.any():
        return ink  # of one component
    weights[frames(components, weights)] = 0
    weights[lines_beside(components, weights)] = 0
    kept = components.mask_of(weights >= max(1, SPECK_SHARE * weights.max()))
    near = dilated(kept, max(1, round(fringe / coarse))).view(np.uint8) * np.uint8(255)
    return ImageChops.darker(ink, Image.fromarray(near).resize(ink.size, Image.Resampling.NEAREST))


def _of_strokes(components: Components, weights: Weights, printed: Mask, left_over: Mask) -> Weights:
    """Without printed lines, and what touches the border and is no part of what stands free of it."""
    touching = np.logical_or.reduce(components.at_borders())
    rest = np.where(printed, 0, weights)
    if (
        rest.max() <= LEAST_BESIDE_LINES * weights.max()
        or np.where(left_over, 0, rest).max() <= FREE_SHARE * rest.max()
    ):
        return np.zeros_like(weights)
    free = np.where(touching, 0, rest)
    if free.max() > LEAST_BESIDE_LINES * weights.max():
        weights = rest
    if free.max() <= FREE_SHARE * weights.max():
        return weights
    digit = components.mask_of(free >= SPECK_SHARE * free.max())
    for number in np.flatnonzero(weights - free >= SPECK_SHARE * weights.max()):
        if _is_part(components.mask_of(np.arange(len(weights)) == number), digit):
            free[number] = weights[number]
    return free


def _is_part(stroke: Mask, digit: Mask) -> bool:
    """Whether what touches the border is a stroke of the digit: near, and neither neighbour nor edge."""
    (left, top, right, bottom), box = box_of(stroke), box_of(digit)
    width, height = max(right, box[2]) - min(left, box[0]), max(bottom, box[3]) - min(top, box[1])
    if min(right, box[2]) <= max(left, box[0]) and width > BESIDE * height:
        return False
    along = [border.sum() for border in (stroke[:, 0], stroke[:, -1], stroke[0], stroke[-1])]
    narrow = min(right - left, bottom - top) / max(right - left, bottom - top)
    fills_corner = max(along[:2]) >= ALONG * (bottom - top) and max(along[2:]) >= ALONG * (right - left)
    if (narrow >= CORNER and fills_corner) or (narrow <= EDGE and np.count_nonzero(along) >= 3):
        return False
    near = NEAR_OF_LARGER if np.count_nonzero(stroke) > np.count_nonzero(digit) else NEAR
    return bool((dilated(digit, max(1, round(near * max(width, height)))) & stroke).any())


def with_usual_strokes(ink: Image.Image) -> Image.Image:
    """Thicken pencil lines and thin marker strokes that are far from MNIST's width."""
    longest = max(ink.size)
    width = 2 * _stroke_width(ink.reduce(2)) if longest >= HALVED_SIDE else _stroke_width(ink)
    if width < THINNEST * longest:
        margin = longest // 8
        canvas = Image.new("L", (ink.width + 2 * margin, ink.height + 2 * margin))
        canvas.paste(ink, (margin, margin))
        thick = canvas.filter(ImageFilter.MaxFilter(_odd(THINNEST * longest - width)))
        return thick.crop(thick.getbbox())
    if width > THICKEST * longest:
        thin = ink.filter(ImageFilter.MinFilter(_odd(width - THICKEST * longest)))
        return thin.crop(thin.getbbox())
    return ink


def _stroke_width(ink: Image.Image) -> float:
    """Mean width in pixels: area over length, and a stroke's outline is twice its length.

    Summed differences along x and y measure an outline 4/π times too long, over all directions.
    """
    levels = np.zeros((ink.height + 2, ink.width + 2), dtype=np.float32)
    levels[1:-1, 1:-1] = pixels_of(ink)
    line, row = levels.ravel(), levels.shape[1]  # the last of a row and the first of the next are both 0
    outline = np.abs(line[1:] - line[:-1]).sum() + np.abs(line[row:] - line[:-row]).sum()
    return float(2 * line.sum() / max(1.0, outline * np.pi / 4))


def _odd(width: float) -> int:
    """The nearest odd filter size that changes a stroke by about `width`."""
    return 2 * max(1, round(width / 2)) + 1
