"""Which candidates are the digits: those that a model is surest of, together, and nothing left over.

Over-segmentation and the best path, as LeCun, Bottou, Bengio and Haffner (1998, sections V and VI) have it.
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from service.pictures.numbers.candidates import Candidate

EACH = 0.1  # what every digit costs
LOW, LOWNESS = 0.5, 6.0  # what is lower than so much of the line costs so much more, a height
CUT = 0.5  # what it costs to cut what hangs together
WIDE, WIDENESS = 1.1, 4.0
LEFT_OUT, SMALL = 0.9, 0.5  # what it costs to leave out a part that is lower than that


def chosen(candidates: Sequence[Candidate], costs: NDArray[np.float64]) -> list[int]:
    """The places of the digits, in reading order. `costs`: of each, -log(how sure it is a digit)."""
    found = []
    numbered = list(enumerate(candidates))
    for _, of_line in groupby(numbered, key=lambda one: one[1].line):
        found += _best_path(list(of_line), costs)
    return found


def _best_path(line: Sequence[tuple[int, Candidate]], costs: NDArray[np.float64]) -> list[int]:
    end = max(candidate.last for _, candidate in line) + 1
    cut = {candidate.first for _, candidate in line if candidate.is_cut}
    best = np.full(end + 1, np.inf)
    best[0] = 0
    came: list[tuple[int, int | None]] = [(0, None)] * (end + 1)
    for place, candidate in line:  # in the order of their first pieces
        first, after = candidate.first, candidate.last + 1
        cost = best[first] + costs[place] + _shape(candidate)
        if cost < best[after]:
            best[after], came[after] = cost, (first, place)
        if after == first + 1 and candidate.height < SMALL and not {first, after} & cut:
            skipped = best[first] + LEFT_OUT
            if skipped < best[after]:
                best[after], came[after] = skipped, (first, None)
    path: list[int] = []
    at = end
    while at:
        at, place_or_none = came[at]
        if place_or_none is not None:
            path.append(place_or_none)
    return path[::-1]


def _shape(candidate: Candidate) -> float:
    """What a digit of that shape costs beside how sure it is."""
    low, wide = max(0.0, LOW - candidate.height), max(0.0, candidate.width - WIDE)
    return EACH + CUT * candidate.is_cut + LOWNESS * low + WIDENESS * wide
