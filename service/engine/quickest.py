"""Which of several ways to compute a model is the quickest on this machine, by the clock."""

import math
import time
from collections.abc import Callable, Sequence
from statistics import geometric_mean
from typing import NamedTuple

from torch import Tensor

from service.engine.devices import Runner

FUSED_ROWS = 16  # of the batches that linear layers are laid out for
# Calls of each way at a batch size: below FUSED_ROWS, and from there on.
TIMED_CALLS, TIMED_LARGE_CALLS = 12, 5
# Seconds a way, after which there is no further call: a large net would not be ready for long, and long
# batches tell enough at once.
ENOUGH_S = 0.05

# Where timing a size takes so much processor time a way, larger batches, which would be the most of it,
# are computed as that size is. By the clock any call may take long on a busy machine.
LONG_S = 0.075

# One that takes so many times as long as the quickest in its first calls is called no more: of the cnn in
# float32, 64 rows take 10 ms a call.
FIRST_CALLS, FAR_BEHIND = 2, 2

# What rounds more coarsely must save at least a tenth, on average over the sizes, and nowhere take longer
# than a busy machine makes it seem.
WORTH_IT, NO_SLOWER = 0.9, 1.15


class Timing(NamedTuple):
    """How many seconds a batch of so many rows takes in each of the ways, in order."""

    rows: int
    seconds: tuple[float, ...]


def timed(ways: Sequence[Runner], row: Tensor, sizes: Sequence[int]) -> tuple[Timing, ...]:
    """What every way takes in the best of some calls, for each size up to one that is long to time.

    What is laid out for batches takes up to twice as long for a row alone, and which is the best differs
    from processor to processor. `row`: [1, ...]. `sizes`: ascending.
    """
    timings = list[Timing]()
    for size in sizes:
        batch = row.repeat_interleave(size, 0)
        calls = TIMED_CALLS if size < FUSED_ROWS else TIMED_LARGE_CALLS
        began = time.thread_time()
        timings.append(Timing(size, in_turn(ways, batch, calls)))
        if time.thread_time() - began > LONG_S * len(ways):
            break
    return tuple(timings)


def quickest(timings: Sequence[Timing], inexact: Sequence[bool]) -> tuple[int, ...]:
    """Which way is taken for every number of rows, from 0 on; the last one holds for more.

    One that is `inexact` is taken for all of them or for none, so that a row has one answer whatever it is
    computed beside: where it saves a tenth on average, and is slower at no size, within noise.
    """
    exact = [way for way, rounded in enumerate(inexact) if not rounded]
    of_exact = {
        way: [one.seconds[way] / min(one.seconds[other] for other in exact) for one in timings]
        for way, rounded in enumerate(inexact)
        if rounded
    }
    means = {way: geometric_mean(shares) for way, shares in of_exact.items() if max(shares) <= NO_SLOWER}
    best = min(means, key=means.__getitem__, default=None)
    taken = [best] if best is not None and means[best] <= WORTH_IT else exact
    chosen = [taken[0]]
    for rows, seconds in timings:
        chosen += [min(taken, key=seconds.__getitem__)] * (rows + 1 - len(chosen))
    return tuple(chosen)


def by_size(ways: Sequence[Runner], chosen: Sequence[int]) -> Runner:
    """Takes for each batch the way that was `chosen` for its size."""
    runners = [ways[number] for number in chosen]
    return lambda rows: runners[min(len(rows), len(runners) - 1)](rows)


def in_turn(ways: Sequence[Runner], batch: Tensor, calls: int) -> tuple[float, ...]:
    """What each takes in the best of some rounds, so that what else the machine does meets them alike."""
    best, spent = [math.inf] * len(ways), 0.0
    for number in range(calls):
        for way, run in enumerate(ways):
            if number < FIRST_CALLS or best[way] < FAR_BEHIND * min(best):
                took = seconds_of(run, batch, 1)
                best[way], spent = min(best[way], took), spent + took
        if spent > ENOUGH_S * len(ways):
            break
    return tuple(best)


def seconds_of(call: Callable[[Tensor], object], batch: Tensor, calls: int) -> float:
    """What the quickest of some calls takes; of fewer, where they take long."""
    times: list[float] = []
    while len(times) < calls and sum(times) <= ENOUGH_S:
        rows = batch.clone()  # to which a model may write
        started = time.perf_counter()
        call(rows)
        times.append(time.perf_counter() - started)
    return min(times)
