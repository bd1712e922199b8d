"""Which way a model is computed for batches of each size, and why others are not: to be shown."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from service.engine.quickest import WORTH_IT, Timing
from service.engine.ways import Way

NEVER_QUICKEST = "never the quickest"
NOT_WORTH_IT = f"takes more than {WORTH_IT:g} of the time of the quickest exact way, or is slower at a size"


class Taken(NamedTuple):
    """The way for batches of `rows`. `of_plain`: its time over the plain way's, None if not timed."""

    rows: int
    way: str
    of_plain: float | None


class Explained(NamedTuple):
    """`not_taken`: why, by the names of the ways and forms."""

    taken: tuple[Taken, ...]
    not_taken: Mapping[str, str]


def explained(
    ways: Sequence[Way], by_rows: Sequence[int], timings: Sequence[Timing], missing: Mapping[str, str]
) -> Explained:
    """`by_rows`: the number of the way, for each number of rows. `missing`: what is not among `ways`."""
    if not by_rows:
        return Explained((Taken(1, ways[0].name, None),), missing)
    taken = tuple(
        Taken(rows, ways[by_rows[rows]].name, round(seconds[by_rows[rows]] / seconds[0], 2))
        for rows, seconds in timings
    )
    idle = [way for number, way in enumerate(ways) if number not in by_rows[1:]]
    return Explained(
        taken, {**{way.name: NOT_WORTH_IT if way.form else NEVER_QUICKEST for way in idle}, **missing}
    )


def lines(title: str, found: Explained) -> list[str]:
    """Lines for people: one for each batch size, and for each way that is not taken."""
    sizes = [
        f"{title}: {'any number of rows' if one.of_plain is None else f'{one.rows:>2} rows'}: {one.way}"
        + ("" if one.of_plain is None else f", {one.of_plain:.2f} of the plain way's time")
        for one in found.taken
    ]
    return [*sizes, *(f"{title}: not {name}: {why}" for name, why in found.not_taken.items())]
