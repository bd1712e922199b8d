"""What is printed on the paper that a digit is written on: its lines, and the frames of its fields."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.pictures.digits.components import Components, Edges, Mask, runs_in
from service.pictures.digits.morphology import border, pixels_of

RULE_LEVEL = 0.15  # of `peak`, from which on ink is that of a rule
RULE_COVER = 0.95  # of the picture's side, at the least, is ink of a rule from border to border
WIDEST_RULE = 0.035  # of the picture's other side
PEN = 1.6  # times the level of a rule: what is stronger on it is a stroke
RING_SHARE = 0.12  # of a side: what lies nearer to the border, and only there, may be a frame
LEAST_BESIDE_FRAME = 0.02  # of the ink of a frame: what has less is no digit
LEAST_BESIDE_LINES = 0.006  # likewise, of lines that are certain
LINE_SHARE = 0.15  # likewise, a line
# Of a side of the picture.
AROUND = 0.85  # the least that a frame is long
CUT = 0.25  # the least that what is left of one is long
SLIVER = 0.07  # the most that it is wide where it runs along the border
PIECE, SHORT = 0.35, 0.15  # width over length of a piece of a line; or its length, of a side


def without_rules(ink: Image.Image, peak: int) -> Image.Image:
    """Erase the lines of lined and squared paper: thin, straight, from border to border.

    A stroke that crosses a line is drawn through again: every pixel of a line becomes the weaker of the two
    on either side of it, unless it is so strong that a stroke runs along the line there.
    """
    if stands_free(ink):
        return ink
    pixels = pixels_of(ink)
    if max(line.max() for line in border(pixels)) <= RULE_LEVEL * peak:
        return ink
    on_ink = pixels > RULE_LEVEL * peak
    lines = [(axis, runs) for axis in (0, 1) if (runs := _rules(on_ink.mean(axis=1 - axis)))]
    if not lines:
        return ink
    pixels = pixels.copy()
    for axis, runs in lines:
        across = pixels if axis == 0 else pixels.T
        for start, end in runs:
            before, after = max(0, start - 2), min(len(across) - 1, end + 1)
            line, on_line = across[max(0, start - 1) : end + 1], across[start:end]
            is_pen = line > PEN * np.median(on_line, axis=1).max()
            line[~is_pen] = np.broadcast_to(np.minimum(across[before], across[after]), line.shape)[~is_pen]
    return Image.fromarray(pixels)


def stands_free(ink: Image.Image) -> bool:
    """Whether no line of the border has any ink: nearly free of cost, and true of most drawings."""
    left, top, right, bottom = ink.getbbox() or (1, 1, 1, 1)
    return left > 0 and top > 0 and right < ink.width and bottom < ink.height


def _rules(cover: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Where rows (or columns) that are covered with ink from border to border make a thin line."""
    widest = WIDEST_RULE * len(cover)
    return [(start, end) for start, end in runs_in(cover > RULE_COVER) if end - start <= widest]


def keeps_to_border(mask: Mask) -> bool:
    """Whether there is nothing in it that no printed line reaches."""
    high, wide = _ring(mask.shape, LINE_SHARE)
    return not np.count_nonzero(mask[high : len(mask) - high, wide : mask.shape[1] - wide])


def _ring(shape: tuple[int, ...], share: float) -> tuple[int, int]:
    return round(share * shape[0]), round(share * shape[1])


def frames(components: Components, weights: NDArray[np.float64]) -> Mask:
    """Which components lie near the border alone, around all others, as the frame of a field does."""
    height, width = components.shape
    high, wide = _ring(components.shape, RING_SHARE)
    between = (components.rows >= high) & (components.rows < height - high)
    free = between & (components.starts >= wide) & (components.ends <= width - wide)
    ring = _in_ring(components, RING_SHARE)
    rest = (~ring & (weights > LEAST_BESIDE_FRAME * weights.max()))[components.groups]
    return ring & bool(rest.any() and free[rest].all())


def _in_ring(components: Components, share: float) -> Mask:
    """Which components reach nowhere into the picture."""
    height, width = components.shape
    high, wide = _ring(components.shape, share)
    between = (components.rows >= high) & (components.rows < height - high)
    return ~components.any_of(between & (components.ends > wide) & (components.starts < width - wide))


def edges_of(on_ink: Mask, coarse: int) -> Edges:
    """Where there is ink at the very border, in steps of so many pixels: nearby is not at it."""
    sides = on_ink[:, 0], on_ink[0], on_ink[:, -1], on_ink[-1]
    left, top, right, bottom = (
        np.logical_or.reduceat(side, np.arange(0, len(side), coarse)) for side in sides
    )
    return left, top, right, bottom


def lines(components: Components, edges: Edges) -> Mask:
    """Which are lines of a table or a sheet: along the border from end to end, or level, right across.

    A one is neither, unless it touches two borders and keeps to the edge between them. `edges`: where there
    is ink at the very border.
    """
    left, top, right, bottom = components.at_borders(edges)
    long, tall = _sides(components)
    across = (left & right) | (top & bottom)
    around = (long >= AROUND) & (tall >= AROUND)
    level: Mask = left & right & (tall <= RING_SHARE)
    return (_in_ring(components, LINE_SHARE) & (across | around)) | level


def remains(components: Components, edges: Edges, erased: bool) -> Mask:
    """Which may be what is left of such lines, where they are slanted, faint or `erased` in part."""
    left, top, right, bottom = components.at_borders(edges)
    long, tall = _sides(components)
    found = (left | right) & (top | bottom) & (np.maximum(long, tall) >= CUT)
    for at_border, width, length in (
        (left, long, tall),
        (right, long, tall),
        (top, tall, long),
        (bottom, tall, long),
    ):
        slivers = at_border & (width <= SLIVER)
        if length[slivers].sum() >= CUT:
            found |= slivers
    if erased:
        length = np.maximum(long, tall)
        found |= (np.minimum(long, tall) <= PIECE * length) | (length <= SHORT)
    return _in_ring(components, LINE_SHARE) & found


def _sides(components: Components) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Width and height of each, in shares of the picture's."""
    height, width = components.shape
    left, top, right, bottom = components.boxes().T
    return (right - left) / width, (bottom - top) / height
