"""The strokes of a digit, their width, and what is drawn beside it: lines of the paper, specks, a frame."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from service.morphology import border, dilated, pixels_of

GROUP_SIDE = 56  # the longest side, in pixels, up to which pixels are grouped into strokes
RULE_LEVEL, RULE_COVER, WIDEST_RULE = 0.15, 0.95, 0.035
RING_SHARE = 0.12  # of a side: what lies nearer to the border, and only there, may be a frame
LEAST_BESIDE_FRAME = 0.02  # of the ink of a frame: what has less is no digit
SPECK_SHARE = 0.04  # of the ink of the largest stroke; what has less is dropped

# Stroke width over the longest side of the ink. Outside this range strokes are thickened or thinned;
# of MNIST's digits themselves 98 % lie inside. It is measured on half of the pixels where they are so many.
THINNEST, THICKEST = 0.075, 0.22
HALVED_SIDE = 80

Runs = NDArray[np.intp]


def without_rules(ink: Image.Image, peak: int) -> Image.Image:
    """Erase the lines of lined and squared paper: thin, straight, from border to border.

    A stroke that crosses a line is drawn through again: every pixel of a line becomes the weaker of the two
    on either side of it.
    """
    if _stands_free(ink):
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
            across[max(0, start - 1) : end + 1] = np.minimum(across[before], across[after])
    return Image.fromarray(pixels)


def _stands_free(ink: Image.Image) -> bool:
    """Whether no line of the border has any ink: nearly free of cost, and true of most drawings."""
    left, top, right, bottom = ink.getbbox() or (1, 1, 1, 1)
    return left > 0 and top > 0 and right < ink.width and bottom < ink.height


def _rules(cover: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Where rows (or columns) that are covered with ink from border to border make a thin line."""
    widest = WIDEST_RULE * len(cover)
    return [(start, end) for start, end in _runs(cover > RULE_COVER) if end - start <= widest]


def without_specks(ink: Image.Image, peak: int, level: float, fringe: float) -> Image.Image:
    """Erase specks, and what hangs at the border while a digit stands free of it.

    `level`: of a stroke, over `peak`. What is fainter stays within `fringe` pixels of what stays.
    """
    coarse = -(-max(ink.size) // GROUP_SIDE)
    small = pixels_of(ink.reduce(coarse))
    on_ink = small > level * peak
    strokes = _strokes(on_ink)
    if not strokes:
        return ink
    rows, starts, ends, groups = strokes
    summed = np.concatenate([[0], np.cumsum(small, dtype=np.int64)])
    of_run = summed[rows * small.shape[1] + ends] - summed[rows * small.shape[1] + starts]
    weights = np.bincount(groups, of_run)
    at_border = (rows == 0) | (rows == len(small) - 1) | (starts == 0) | (ends == small.shape[1])
    touching = np.bincount(groups, at_border) > 0
    if not touching.all() and weights[~touching].max() > 0.1 * weights.max():
        weights[touching] = 0
    weights[_frames(small.shape, rows, starts, ends, groups, weights)] = 0
    dropped = weights[groups] < SPECK_SHARE * weights.max()
    for row, start, end in zip(*(runs[dropped] for runs in (rows, starts, ends)), strict=True):
        on_ink[row, start:end] = False
    kept = Image.fromarray(dilated(on_ink, max(1, round(fringe / coarse))).view(np.uint8) * np.uint8(255))
    return ImageChops.darker(ink, kept.resize(ink.size, Image.Resampling.NEAREST))


def _frames(
    shape: tuple[int, ...], rows: Runs, starts: Runs, ends: Runs, groups: Runs, weights: NDArray[Any]
) -> NDArray[np.bool_]:
    """Which components lie near the border alone, around all others, as the frame of a field does."""
    high, wide = (round(RING_SHARE * side) for side in shape)
    between = (rows >= high) & (rows < shape[0] - high)
    reaching_in = between & (ends > wide) & (starts < shape[1] - wide)
    free = between & (starts >= wide) & (ends <= shape[1] - wide)
    ring: NDArray[np.bool_] = np.bincount(groups, reaching_in) == 0
    rest = (~ring & (weights > LEAST_BESIDE_FRAME * weights.max()))[groups]
    return ring & bool(rest.any() and free[rest].all())


def _strokes(mask: NDArray[np.bool_]) -> tuple[Runs, Runs, Runs, Runs] | None:
    """8-connected components, by the runs of True in every row: row, start, end (exclusive), component.

    None where there is at most one. Runs are joined with the runs of the row above that they touch
    (union-find). A component is called by its first run.
    """
    # Positions run through all rows: a run and its neighbours in the row above differ by this stride.
    stride = mask.shape[1] + 1
    padded = np.zeros((len(mask), stride), dtype=np.bool_)  # no run goes on into the next row
    padded[:, 1:] = mask
    line = padded.ravel()
    (edges,) = (line[1:] != line[:-1]).nonzero()
    if mask[-1, -1]:
        edges = np.append(edges, line.size - 1)
    starts, ends = edges[::2], edges[1::2]
    first = ends.searchsorted(starts - stride, side="left").tolist()
    last = starts.searchsorted(ends - stride, side="right").tolist()
    parent = list(range(len(starts)))
    for run, (low, high) in enumerate(zip(first, last, strict=True)):
        for above in range(low, high):
            a, b = run, above
            while parent[a] != a:
                a = parent[a]
            while parent[b] != b:
                b = parent[b]
            parent[max(a, b)] = min(a, b)
    for run, up in enumerate(parent):  # a parent comes before its children
        parent[run] = parent[up]
    if not any(parent):
        return None
    rows = starts // stride
    return rows, starts - rows * stride, ends - rows * stride, np.array(parent, dtype=np.intp)


def _runs(line: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Start and end (exclusive) of every run of True."""
    edges = np.flatnonzero(np.diff(line.astype(np.int8), prepend=0, append=0)).tolist()
    return zip(edges[::2], edges[1::2], strict=True)


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
