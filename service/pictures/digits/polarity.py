"""Which way the ink of a picture stands out, where its levels alone do not tell.

Strokes are narrow; shadows, lights and sheets are wide. So the top-hats of mathematical morphology tell
(Serra 1982): a grey opening takes away what is light and narrow, a closing fills what is dark and narrow.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from service.pictures.digits.components import Mask, box_of, components_of
from service.pictures.digits.light import WIDEST_AT_BORDER, WIDEST_STROKE
from service.pictures.digits.morphology import Pixels, border, closed, continued, opened, pixels_of

SIDE = 32  # pixels, at which a picture is looked at

# Widths, of SIDE, in which strokes stand out.
THIN = 3, 5, 7  # in most pictures
THICK = 9, 13  # where a digit fills its picture
THIN_SHARE = 0.2  # of what stands out in THICK: where THIN has no more, THICK counts
SHADED_SHARE = 0.6  # of the pixels are neither dark nor light: shadows, and THIN counts after all

# Of several digits each is small: at SIDE, a lit corner beside a shadow is as narrow as they are.
LARGE = 280  # pixels: what is looked at of a single digit is no longer
FINE_SIDE = 128  # pixels, at which a larger picture is looked at
SURE = 0.1  # of all that stands out there, by which one way has more than the other

# A line of a few pixels is faint at SIDE; it is looked for at full size.
FAINT = 64  # grey levels: where nothing stands out by more at SIDE
LINE = 3  # pixels: the window in which lines stand out
LINE_SHARE = 0.002  # of the pixels, at the least, are on the line
ONE_WAY = 5  # times as far as what stands out the other way does it

# A digit that fills its picture.
SIDE_SHARE = 0.8  # of either side, at the least, is its own
CORNERS = 2  # at the least, of the picture's four are ground
WHOLE_SHARE = 0.95  # of its ink, at the least, hangs together
EDGES_SHARE = 0.35  # of the pixels, at the most, are neither dark nor light
SHEET_SHARE = 0.5  # of the border: what has more, and holes, is a sheet, and its holes are the digit
MARGIN = 16  # one in so many pixels from the sides may be ground

# Ink is the lesser of two levels.
EXPLAINED = 0.75  # of the variance, at the least, lies between them, or neither is clearly ink
LESSER_SHARE = 0.45  # of the pixels, at the most, are ink
LINES = 3  # of SIDE: ink that is narrower does not count at the border
BORDER_SHARE = 0.08  # of the border, at the most, is ink: more is a shadow
STRAY = 0.005  # of the ground, on the side away from the ink, is left out when FAR is measured
FAR = 0.5  # of the ink's distance from the ground's median: the most that the ground strays the other way
WIDE = WIDEST_STROKE - 2  # with its edges, a stroke fills the windows by which the ground is found


def filling_is_light(picture: Image.Image) -> bool | None:
    """Whether a digit that fills its picture is the lighter; None where none does. `picture`: L, any size.

    However wide its strokes are, it hangs together from side to side both ways, and so keeps the corners of
    the ground apart: a ground that reached every side would not let the ink do so.
    """
    grey = pixels_of(picture)
    margin = min(grey.shape) // MARGIN
    rim = np.concatenate(border(grey[margin : len(grey) - margin, margin : grey.shape[1] - margin]))
    low, high = int(rim.min()), int(rim.max())
    if high - low <= FAINT or _shaded(grey) > EDGES_SHARE:
        return None
    light = grey > (low + high) // 2
    return next((is_light for is_light in (False, True) if _fills(light == is_light)), None)


def _fills(mask: Mask) -> bool:
    left, top, right, bottom = box_of(mask)
    if right - left < SIDE_SHARE * mask.shape[1] or bottom - top < SIDE_SHARE * len(mask):
        return False
    ink = mask[top:bottom, left:right]
    if np.count_nonzero(ink[[0, 0, -1, -1], [0, -1, 0, -1]]) > 4 - CORNERS:
        return False
    strokes, ground = components_of(ink), components_of(~ink)
    assert strokes  # at every side
    assert ground  # in the corners
    ink_u8 = ink.astype(np.uint8)
    weights = strokes.weights(ink_u8)
    spans = np.logical_and.reduce(strokes.at_borders())
    if not (spans & (weights >= WHOLE_SHARE * weights.sum())).any():
        return False
    has_holes = not np.logical_or.reduce(ground.at_borders())[ground.groups].all()
    return not has_holes or float(np.concatenate(border(ink_u8)).mean()) <= SHEET_SHARE


class Lesser(NamedTuple):
    """Which of two clear levels it is; `widest`: stroke that the ground is to be found without."""

    is_light: bool
    widest: int


def lesser_of(picture: Image.Image) -> Lesser | None:
    """None where none is clearly ink. `picture`: L, any size.

    Strokes may then be wider than what is left of the ground within and beside them.
    """
    grey = pixels_of(picture)[::2, ::2]
    level, explained = _otsu(grey)
    dark, light = grey[grey <= level], grey[grey > level]
    is_light = dark.size > light.size
    ink, ground = (light, dark) if is_light else (dark, light)
    if explained < EXPLAINED or ink.size > LESSER_SHARE * grey.size:
        return None
    usual, far = np.quantile(ground, [0.5, STRAY if is_light else 1 - STRAY])
    if abs(far - usual) > FAR * abs(np.median(ink) - usual):
        return None
    small = pixels_of(picture.resize((SIDE, SIDE), Image.Resampling.BOX))
    lesser = np.where((small > level) == is_light, np.uint8(255), np.uint8(0))
    of_border = float((np.concatenate(border(opened(lesser, LINES))) > 0).mean())
    if of_border > BORDER_SHARE:
        return None
    return Lesser(is_light, WIDEST_AT_BORDER if opened(lesser, WIDE).any() else WIDEST_STROKE)


def _otsu(grey: Pixels) -> tuple[int, float]:
    """The level up to which pixels are dark (Otsu 1979), and the share of the variance that it explains."""
    levels = np.arange(256)
    shares = np.bincount(grey.ravel(), minlength=256) / grey.size
    darker, sums = shares.cumsum(), (shares * levels).cumsum()
    mean = sums[-1]
    between = (mean * darker - sums) ** 2 / np.maximum(darker * (1 - darker), 1e-9)
    level = int(between.argmax())
    variance = float(shares @ (levels - mean) ** 2)
    return level, float(between[level]) / variance if variance else 0.0


def narrow_is_light(picture: Image.Image) -> bool:
    """`picture`: L, any size. Windows of several widths decide together, but for lines of a few pixels."""
    if max(picture.size) > LARGE and abs(lean := _fine_lean(picture)) > SURE:
        return lean > 0
    small = pixels_of(picture.resize((SIDE, SIDE), Image.Resampling.BOX))
    canvas = continued(small, THICK[-1] - 1)
    hats = {width: _hats(canvas, width, THICK[-1]) for width in (*THIN, THICK[0])}
    faint = max(int(hat.max()) for hat in hats[THIN[-1]])
    if faint <= FAINT and (line_is_light := _line_is_light(pixels_of(picture), faint)) is not None:
        return line_is_light
    thin = {width: _strengths(*both) for width, both in hats.items()}
    if sum(thin[THIN[1]]) > THIN_SHARE * sum(thin[THICK[0]]) or _shaded(small) > SHADED_SHARE:
        return sum(_lean(*thin[width]) for width in THIN) > 0
    thick = thin[THICK[0]], _strengths(*_hats(canvas, THICK[-1], THICK[-1]))
    return sum(_lean(*strengths) for strengths in thick) > 0


def _fine_lean(picture: Image.Image) -> float:
    """0 where strokes are too wide for its windows."""
    factor = FINE_SIDE / max(picture.size)
    width, height = (max(THICK[-1], round(factor * side)) for side in picture.size)
    small = pixels_of(picture.resize((width, height), Image.Resampling.BOX))
    canvas = continued(small, THICK[-1] - 1)
    strengths = {wide: _strengths(*_hats(canvas, wide, THICK[-1])) for wide in (*THIN, THICK[-1])}
    if sum(strengths[THIN[1]]) <= THIN_SHARE * sum(strengths[THICK[-1]]):
        return 0.0
    return sum(_lean(*strengths[wide]) for wide in THIN) / len(THIN)


def _line_is_light(grey: Pixels, faint: int) -> bool | None:
    """None where no line of a few pixels stands out by more than that, or both light and dark ones do."""
    hats = _hats(continued(grey, LINE - 1), LINE, LINE)
    light, dark = (float(np.quantile(hat, 1 - LINE_SHARE)) for hat in hats)
    is_clear = max(light, dark) > max(faint, ONE_WAY * min(light, dark))
    return light > dark if is_clear else None


def _hats(canvas: Pixels, width: int, widest: int) -> tuple[Pixels, Pixels]:
    """How far what is narrower than `width` is lighter, and darker, than what is around it.

    `canvas`: the picture continued as far as the `widest` window asks for.
    """
    margin, spare = widest - 1, widest - width
    grey = canvas[margin:-margin, margin:-margin]
    canvas = canvas[spare : canvas.shape[0] - spare, spare : canvas.shape[1] - spare]
    return grey - opened(canvas, width), closed(canvas, width) - grey


def _shaded(grey: Pixels) -> float:
    """The share of the pixels whose levels are not within a tenth of the darkest or the lightest."""
    low, high = int(grey.min()), int(grey.max())
    tenth = (high - low) // 10
    return float(((grey > low + tenth) & (grey < high - tenth)).mean())


def _lean(light: float, dark: float) -> float:
    """From -1, all is dark, to 1, all is light."""
    return (light - dark) / max(1.0, light + dark)


def _strengths(light_u8: Pixels, dark_u8: Pixels) -> tuple[float, float]:
    """How much of hats is light and how much is dark: sums of cubes, for which little noise is nothing."""
    light, dark = (hat.astype(np.float32).ravel() for hat in (light_u8, dark_u8))
    return float(light * light @ light), float(dark * dark @ dark)
