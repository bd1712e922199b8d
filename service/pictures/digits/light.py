"""Paper is rarely even: how far ink stands out from it, without shadows, gradients, vignettes and grain."""

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from service.pictures.digits.components import runs_in
from service.pictures.digits.morphology import Pixels, border, closed, continued, pixels_of

GROUND_SIDE = 32  # pixels: the longest side at which the ground is modelled

WIDEST_STROKE = 9  # of GROUND_SIDE: whatever is narrower is ink, whatever is wider is ground
WIDEST_AT_BORDER = 21  # likewise, along the border
LINE_WIDTH, LINE_LENGTH = 4, 0.35  # likewise, of a line along the border; and so much of that is dark
EDGE_STEP = 0.15  # of its lightest level: a ground that changes by so much from pixel to pixel has an edge
SOFT_STEP = 0.25  # of its depth: a valley along the border with no larger step from pixel to pixel is shade
LEAST_CONTRAST = 16  # grey levels; ink that stands out by less is noise


def out_of_the_light(work: Image.Image, widest: int) -> Image.Image:
    """How far each pixel is darker than the ground around it. `widest`: stroke, of GROUND_SIDE."""
    small = work.resize(scaled_size(work.size, GROUND_SIDE / max(work.size)), Image.Resampling.BOX)
    coarse = _ground(pixels_of(small), widest)
    smooth = Image.fromarray(coarse).filter(ImageFilter.GaussianBlur(1))
    ground = smooth.resize(work.size, Image.Resampling.BILINEAR)
    if _has_edge(coarse):
        # Beside a hard edge what is smooth is lighter than the shadow, which would be ink.
        sharp = _ground(pixels_of(work), widest, max(work.size) / GROUND_SIDE)
        ground = ImageChops.darker(ground, Image.fromarray(sharp))
    # Ink takes away a share of the light that falls on its place: in a shadow it stands out by less.
    light = np.asarray(ground, dtype=np.float32)
    share = np.asarray(ImageChops.subtract(ground, work), dtype=np.float32) / np.maximum(
        light, LEAST_CONTRAST
    )
    return Image.fromarray((share * light.max()).astype(np.uint8))


def _ground(grey: Pixels, widest: int, scale: float = 1.0) -> Pixels:
    """The ground without the dark ink: a grey closing, wider than any stroke. `scale`: over GROUND_SIDE.

    It follows shadows, gradients and vignettes, and does not follow strokes. Where ink touches the
    border there is no ground beyond it, so the border is continued outwards, closed along itself by a
    wider filter first.
    """
    widest, along = round(scale * widest), round(scale * WIDEST_AT_BORDER)
    rim = _without_lines(grey, round(scale * LINE_WIDTH))
    for line in border(rim):
        filled = closed(continued(line, along - 1), along)
        line[:] = filled if scale > 1 else _but_for_shade(line, filled)
    margin = widest - 1
    canvas = continued(rim, margin)
    canvas[margin:-margin, margin:-margin] = grey
    return closed(canvas, widest)


def _but_for_shade(line: Pixels, filled: Pixels) -> Pixels:
    """The border filled, but where its levels change softly: a shadow that lies on it stays."""
    depth = filled.astype(np.int16) - line
    if depth.max() < LEAST_CONTRAST:
        return filled
    steps = np.abs(np.diff(line.astype(np.int16), prepend=line[0], append=line[-1]))
    for start, end in runs_in(depth > 0):
        if steps[start : end + 1].max() < SOFT_STEP * depth[start:end].max():
            filled[start:end] = line[start:end]
    return filled


def _without_lines(grey: Pixels, width: int) -> Pixels:
    """A copy, its border as light as what is further inside lets expect, where dark lines run along it.

    They are ink: closed along itself the border would be as dark as they, but where they leave it.
    """
    rim = grey.copy()
    if min(grey.shape) <= 2 * width:
        return rim
    sides = (grey, grey[::-1], grey.T, grey.T[::-1])
    for line, view in zip(border(rim), sides, strict=True):
        near, far = view[width].astype(np.int16), view[2 * width].astype(np.int16)
        expected = np.minimum(near, 2 * near - far)
        darker = line < (1 - EDGE_STEP) * expected
        if darker.mean() >= LINE_LENGTH:
            line[darker] = expected[darker]
    return rim


def _has_edge(coarse: Pixels) -> bool:
    levels = coarse.astype(np.int16)
    steps = (np.abs(np.diff(levels, axis=axis)).max(initial=0) for axis in (0, 1))
    return bool(max(steps) > EDGE_STEP * levels.max())


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
