"""A straight line that hangs together with a digit: it runs through or beneath it, and beyond it."""

from typing import Literal

import numpy as np
from PIL import Image

from service.pictures.digits.components import Box, Mask, box_of
from service.pictures.digits.morphology import pixels_of
from service.pictures.digits.printed.cells import DIGIT_LEVEL, LINE_LEVEL, Line, erase

Direction = Literal["level", "upright"]

# Of the length of a line through a digit.
TIP = 0.05  # the least that stands alone, at either end
WIDEST = 0.07  # the most that it is wide
SLANT = 0.05  # the most that it strays from level or upright
COVER = 0.95  # the least that is ink
LEAST_DIGIT = 0.25  # the least that the digit's longest side is

# Of the digit's longest side.
LONG = 1.1  # the least that a line is long
BEYOND = 0.12  # the least that it reaches beyond the digit, at either end
UPRIGHT_BEYOND = 0.25  # likewise of an upright one, as a stroke of a 4 may be
THIN = 0.5  # of the width of the digit's strokes: the most that an upright one is wide

SHORTEST = 8  # pixels, of those at which strokes are told apart


def without_line_through(ink: Image.Image, peak: int, on_ink: Mask, box: Box) -> Image.Image | None:
    """Erase it; None where there is none. `on_ink`: of fewer pixels, which has its ink within that box."""
    direction = _may_run_through(on_ink, box)  # nearly free of cost
    return _erased(ink, peak, direction) if direction else None


def _may_run_through(on_ink: Mask, box: Box) -> Direction | None:
    """Which way a line may do so: at both ends of the ink there is little else."""
    left, top, right, bottom = box
    if right - left >= LONG * (bottom - top) and _has_tips(on_ink.T, left, right):
        return "level"
    if right - left >= LEAST_DIGIT * (bottom - top) and _has_tips(on_ink, top, bottom):
        return "upright"
    return None


def _has_tips(on_ink: Mask, start: int, end: int) -> bool:
    """Whether it is narrow in two rows, near the first and the last, and about above each other."""
    length = end - start
    if length < SHORTEST:
        return False
    tip, widest = max(1, round(TIP * length)), round(WIDEST * length) + 1
    upper, lower = on_ink[start + tip], on_ink[end - 1 - tip]
    if np.count_nonzero(upper) > widest or np.count_nonzero(lower) > widest:
        return False
    return bool(abs(int(upper.argmax()) - int(lower.argmax())) <= SLANT * length + 1)


def _erased(ink: Image.Image, peak: int, direction: Direction) -> Image.Image | None:
    """None where no line runs from end to end of the ink."""
    pixels = pixels_of(ink).copy()
    on_ink = pixels > DIGIT_LEVEL * peak
    if not on_ink.any():
        return None
    left, top, right, bottom = box_of(on_ink)
    within = pixels[top:bottom, left:right]
    along = within.T if direction == "level" else within
    line = _line(along > 2 * LINE_LEVEL * peak)
    if line is None:
        return None
    middle = (line.first + line.last) // 2
    if along[:, :middle].sum() > along[:, middle:].sum():
        along = along[:, ::-1]
        line = Line(along.shape[1] - 1 - line.last, along.shape[1] - 1 - line.first, -line.shift)
    erase(along, line, DIGIT_LEVEL * peak)
    return Image.fromarray(pixels) if _is_beyond(along > DIGIT_LEVEL * peak, line, direction) else None


def _line(on_ink: Mask) -> Line | None:
    """From the upper end of the ink to the lower one."""
    length = len(on_ink)
    tip = max(2, round(TIP * length))
    ends = on_ink[:tip], on_ink[-tip:]
    columns = [np.flatnonzero(end.any(axis=0)) for end in ends]
    if not all(len(found) and found[-1] - found[0] < WIDEST * length + 1 for found in columns):
        return None
    start, end = (float(found.mean()) for found in columns)
    if abs(end - start) > SLANT * length:
        return None
    rows = np.arange(length)
    line = start + (end - start) * (rows - tip / 2) / (length - tip)
    places = np.clip(np.round(line), 0, on_ink.shape[1] - 1).astype(np.intp)
    if on_ink[rows, places].mean() < COVER:
        return None
    wide = max(np.count_nonzero(end) / tip for end in ends)
    middle = round((start + end) / 2)
    first = round((start + end) / 2 - wide / 2 + 0.5)
    return Line(first, first + max(1, round(wide)) - 1, np.round(line - middle).astype(np.intp))


def _is_beyond(on_ink: Mask, line: Line, direction: Direction) -> bool:
    """Whether what is left is a digit, and ends before the line does."""
    if not on_ink.any():
        return False
    length = len(on_ink)
    left, top, right, bottom = box_of(on_ink)
    side = max(right - left, bottom - top)
    beyond = min(top, length - bottom)
    if not LEAST_DIGIT * length <= side <= length / LONG:
        return False
    if direction == "level":
        return beyond >= BEYOND * side
    strokes = on_ink[top:bottom, left:right]
    is_thin = line.last - line.first + 1 <= THIN * min(_usual_run(strokes), _usual_run(strokes.T))
    return bool(is_thin and beyond >= UPRIGHT_BEYOND * side)


def _usual_run(on_ink: Mask) -> float:
    """Of the mean lengths of runs in every row, the median."""
    runs = np.count_nonzero(np.diff(on_ink, axis=1, prepend=False, append=False), axis=1) / 2
    return float(np.median(np.count_nonzero(on_ink, axis=1) / np.maximum(1, runs)))
