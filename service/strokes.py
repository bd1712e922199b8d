"""The strokes of a digit, and what is drawn beside it: lines of the paper, specks, a frame."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from service.ground import scaled_size

GROUP_SIDE = 56  # the longest side, in pixels, at which pixels are grouped into strokes
RULE_COVER, WIDEST_RULE = 0.95, 0.035  # a line covers so much of the width, and so little of the height
SPECK_SHARE = 0.04  # of the ink of the largest stroke; what has less is dropped

Runs = NDArray[np.intp]


def without_rules(ink: Image.Image, peak: int) -> Image.Image:
    """Erase the lines of lined and squared paper: thin, straight, from border to border.

    A stroke that crosses a line is drawn through again: every pixel of a line becomes the weaker of the two
    on either side of it.
    """
    pixels = np.asarray(ink)
    on_ink = pixels > 0.25 * peak
    if not (on_ink[[0, -1]].any() or on_ink[:, [0, -1]].any()):
        return ink
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


def _rules(cover: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Where rows (or columns) that are covered with ink from border to border make a thin line."""
    widest = WIDEST_RULE * len(cover)
    return [(start, end) for start, end in _runs(cover > RULE_COVER) if end - start <= widest]


def without_specks(ink: Image.Image, peak: int) -> Image.Image:
    """Erase specks, and what hangs at the border while a digit stands free of it."""
    scale = min(1.0, GROUP_SIDE / max(ink.size))
    small = np.asarray(ink.resize(scaled_size(ink.size, scale), Image.Resampling.BOX))
    rows, starts, ends, groups = _strokes(small > 0.25 * peak)
    if len(groups) == 0 or groups.max() == 0:
        return ink
    summed = np.concatenate([[0], np.cumsum(small, dtype=np.int64)])
    of_run = summed[rows * small.shape[1] + ends] - summed[rows * small.shape[1] + starts]
    weights = np.bincount(groups, of_run)
    at_border = (rows == 0) | (rows == len(small) - 1) | (starts == 0) | (ends == small.shape[1])
    touching = np.bincount(groups, at_border) > 0
    if not touching.all() and weights[~touching].max() > 0.1 * weights.max():
        weights[touching] = 0
    keep = weights >= SPECK_SHARE * weights.max()
    kept = np.zeros(small.shape, dtype=np.uint8)
    for row, start, end in zip(*(runs[keep[groups]] for runs in (rows, starts, ends)), strict=True):
        kept[row, start:end] = 255
    mask = Image.fromarray(kept).filter(ImageFilter.MaxFilter(3)).resize(ink.size, Image.Resampling.NEAREST)
    return ImageChops.darker(ink, mask)


def _strokes(mask: NDArray[np.bool_]) -> tuple[Runs, Runs, Runs, Runs]:
    """8-connected components, by the runs of True in every row: row, start, end (exclusive), component.

    Runs are joined with the runs of the row above that they touch (union-find).
    """
    width = mask.shape[1]
    edges = np.diff(mask.astype(np.int8), prepend=0, append=0, axis=1).ravel()
    (starts,), (ends,) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    # Positions run through all rows; with width + 1 of them in each, a run and its neighbours in the row
    # above differ by as much.
    first = np.searchsorted(ends, starts - (width + 1), side="left")
    last = np.searchsorted(starts, ends - (width + 1), side="right")
    parent = list(range(len(starts)))
    for run, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        for above in range(low, high):
            a, b = run, above
            while parent[a] != a:
                a = parent[a]
            while parent[b] != b:
                b = parent[b]
            parent[max(a, b)] = min(a, b)
    for run, up in enumerate(parent):  # a parent comes before its children
        parent[run] = parent[up]
    _, groups = np.unique(np.array(parent, dtype=np.intp), return_inverse=True)
    rows = starts // (width + 1)
    return rows, starts - rows * (width + 1), ends - rows * (width + 1), groups


def _runs(line: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Start and end (exclusive) of every run of True."""
    edges = np.flatnonzero(np.diff(line.astype(np.int8), prepend=0, append=0)).tolist()
    return zip(edges[::2], edges[1::2], strict=True)
