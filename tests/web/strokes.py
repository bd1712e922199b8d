"""The strokes of a digit of MNIST, found again in its pixels: what a pen went along."""

import numpy as np
from numpy.typing import NDArray

Stroke = list[tuple[int, int]]

_AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def strokes_of(image_u8: NDArray[np.uint8]) -> list[Stroke]:
    """[28, 28] → strokes of (x, y), each a path along the middle of the ink."""
    left = {(int(y), int(x)) for y, x in np.argwhere(thinned(image_u8 > 100))}
    strokes: list[list[tuple[int, int]]] = []
    while left:
        ends = [point for point in sorted(left) if len(_beside(point, left)) == 1]
        path = [ends[0] if ends else min(left)]
        while nexts := _beside(path[-1], left - set(path)):
            path.append(nexts[0])
        left -= set(path)
        joined = [*path, *_beside(path[-1], {p for stroke in strokes for p in stroke})[:1]]
        strokes.append(joined)
    return [[(x, y) for y, x in stroke] for stroke in strokes]


def thinned(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Down to lines of one pixel (Zhang and Suen 1984)."""
    ink = np.pad(ink, 1)
    changed = True
    while changed:
        changed = False
        for first, second in (((0, 2, 4), (2, 4, 6)), ((0, 2, 6), (0, 4, 6))):
            ring = np.stack([np.roll(ink, (-dy, -dx), (0, 1)) for dy, dx in _AROUND])
            count = ring.sum(0)
            rises = (~ring & np.roll(ring, -1, 0)).sum(0)
            gone = ink & (count >= 2) & (count <= 6) & (rises == 1)
            gone &= ~ring[list(first)].all(0) & ~ring[list(second)].all(0)
            changed |= bool(gone.any())
            ink = ink & ~gone
    return ink[1:-1, 1:-1]


def _beside(point: tuple[int, int], points: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Straight neighbours first."""
    y, x = point
    near = [(y + dy, x + dx) for dy, dx in sorted(_AROUND, key=lambda d: abs(d[0]) + abs(d[1]))]
    return [one for one in near if one in points]
