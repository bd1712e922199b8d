"""The connected components of a mask: what hangs together in it, and where each part lies."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]  # left, top, right, bottom
Edges = tuple[Mask, Mask, Mask, Mask]  # of the left, the upper, the right and the lower border


class Components(NamedTuple):
    """8-connected components, by the runs of True in every row: row, start, end (exclusive), component.

    A component is called by its first run: what is told of all of them has a place for every run.
    `shape`: of the mask, height and width.
    """

    shape: tuple[int, int]
    rows: Ints
    starts: Ints
    ends: Ints
    groups: Ints

    def sizes(self) -> Ints:
        """The pixels of each; 0 where none is called so."""
        return np.bincount(self.groups, self.ends - self.starts).astype(np.intp)

    def any_of(self, of_runs: Mask) -> Mask:
        """Of which components any run is so."""
        found: Mask = np.bincount(self.groups, of_runs) > 0
        return found

    def weights(self, levels: NDArray[np.uint8] | Mask) -> NDArray[np.float64]:
        """The sum of the levels `[height, width]` under each; 0 where none is called so."""
        summed = np.concatenate([[0], np.cumsum(levels, dtype=np.int64)])
        rows = self.rows * self.shape[1]
        of_runs = summed[rows + self.ends] - summed[rows + self.starts]
        return np.bincount(self.groups, of_runs).astype(np.float64)

    def at_borders(self, edges: Edges | None = None) -> Edges:
        """Which touch the left, the upper, the right and the lower border, in one of these pixels."""
        height, width = self.shape
        left, top, right, bottom = edges or (np.ones(side, np.bool_) for side in (height, width) * 2)
        runs = (
            (self.starts == 0) & left[self.rows],
            (self.rows == 0) & self._any_within(top),
            (self.ends == width) & right[self.rows],
            (self.rows == height - 1) & self._any_within(bottom),
        )
        of_left, of_top, of_right, of_bottom = (self.any_of(of_runs) for of_runs in runs)
        return of_left, of_top, of_right, of_bottom

    def _any_within(self, line: Mask) -> Mask:
        """For every run, whether any pixel of a row is set between its start and its end."""
        before = np.concatenate([[0], np.cumsum(line)])
        found: Mask = before[self.ends] > before[self.starts]
        return found

    def boxes(self) -> Ints:
        """`[components, 4]`: left, top, right, bottom of each."""
        boxes = np.empty((self.groups.max() + 1, 4), dtype=np.intp)
        boxes[:] = (*self.shape[::-1], 0, 0)
        np.minimum.at(boxes[:, 0], self.groups, self.starts)
        np.minimum.at(boxes[:, 1], self.groups, self.rows)
        np.maximum.at(boxes[:, 2], self.groups, self.ends)
        np.maximum.at(boxes[:, 3], self.groups, self.rows + 1)
        return boxes

    def mask_of(self, components: Mask) -> Mask:
        mask = np.zeros(self.shape, dtype=np.bool_)
        chosen = components[self.groups]
        for row, start, end in zip(*(runs[chosen] for runs in self[1:4]), strict=True):
            mask[row, start:end] = True
        return mask

    def alone(self, number: int, box: Ints | Sequence[int]) -> Mask:
        """The mask of one of them, within its box."""
        left, top, right, bottom = box
        mask = np.zeros((bottom - top, right - left), dtype=np.bool_)
        chosen = self.groups == number
        for row, start, end in zip(*(runs[chosen] for runs in self[1:4]), strict=True):
            mask[row - top, start - left : end - left] = True
        return mask


def components_of(mask: Mask, least: int = 1) -> Components | None:
    """None where there are fewer than `least`.

    Runs are joined with the runs of the row above that they touch (union-find).
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
        if low == high:
            continue
        a = low
        while parent[a] != a:
            a = parent[a]
        parent[run] = a
        for above in range(low + 1, high):
            b = above
            while parent[b] != b:
                b = parent[b]
            if b < a:
                a, b = b, a
            parent[b] = a
    for run, up in enumerate(parent):  # a parent comes before its children
        parent[run] = parent[up]
    if len(set(parent)) < least:
        return None
    rows = starts // stride
    groups = np.array(parent, dtype=np.intp)
    return Components(mask.shape, rows, starts - rows * stride, ends - rows * stride, groups)


def runs_in(line: Mask) -> Iterator[tuple[int, int]]:
    """Start and end (exclusive) of every run of True."""
    edges = np.flatnonzero(np.diff(line.astype(np.int8), prepend=0, append=0)).tolist()
    return zip(edges[::2], edges[1::2], strict=True)


def box_around(rows: Ints, columns: Ints) -> Box:
    """Around pixels, of which there are some."""
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def scaled_box(box: Box, x: float, y: float, size: tuple[int, int]) -> Box:
    """So many times as far from the corner, in whole pixels, within a picture of that size."""
    left, top, right, bottom = box
    return round(left * x), round(top * y), min(size[0], round(right * x)), min(size[1], round(bottom * y))


def box_of(mask: Mask) -> Box:
    """Around all that is set, of which there is some."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
