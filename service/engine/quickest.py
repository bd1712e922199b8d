"""Which of several ways to compute a model is the quickest on this machine, by the clock."""

import time
from collections.abc import Callable, Sequence

from torch import Tensor

from service.engine.devices import Runner

# Linear layers are laid out for batches of so many rows. To find the quickest way to compute a model, each
# is called so often at every batch size, and less often from so many rows on, or once calls have taken so
# long: a large net would not be ready for seconds, and long batches tell enough at once.
FUSED_ROWS, TIMED_CALLS, TIMED_LARGE_CALLS, ENOUGH_S = 16, 6, 2, 0.1


def quickest(ways: Sequence[Runner], row: Tensor, sizes: Sequence[int], slow_s: float) -> tuple[int, ...]:
    """For every number of rows, from 0, which way is quickest in the best of some calls; for more the last.

    What is laid out for batches takes up to twice as long for a row alone, and which is the best differs
    from processor to processor. `row`: [1, ...]. `sizes`: ascending; none is tried behind one that takes
    more than `slow_s`.
    """
    chosen = [0]
    for size in sizes:
        batch = row.repeat(size, *[1] * (row.dim() - 1))
        calls = TIMED_CALLS if size < FUSED_ROWS else TIMED_LARGE_CALLS
        seconds = [seconds_of(way, batch, calls) for way in ways]
        chosen += [seconds.index(min(seconds))] * (size + 1 - len(chosen))
        if min(seconds) > slow_s:
            break
    return tuple(chosen)


def by_size(ways: Sequence[Runner], chosen: Sequence[int]) -> Runner:
    """Takes for each batch the way that was `chosen` for its size."""
    runners = [ways[number] for number in chosen]
    return lambda rows: runners[min(len(rows), len(runners) - 1)](rows)


def seconds_of(call: Callable[[Tensor], object], batch: Tensor, calls: int) -> float:
    """What the quickest of some calls takes; of fewer, where they take long."""
    times: list[float] = []
    while len(times) < calls and sum(times) <= ENOUGH_S:
        started = time.perf_counter()
        call(batch)
        times.append(time.perf_counter() - started)
    return min(times)
