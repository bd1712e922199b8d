"""How much may be under way at a time: permits are taken before work begins and given back when it ends."""

import math
from collections.abc import Callable

from service.artifacts.manifest import Manifest
from service.engine.tensors import DTYPES
from service.errors import Overloaded

# How much the newest batch counts in the measured rate; the longest wait that a client is told.
SMOOTHING, LONGEST_WAIT_S = 0.1, 60

# Rows that wait, with their answers, take no more memory than this, whatever their shape.
QUEUE_BYTES = 256 * 1024 * 1024


class Admission:
    """Permits for so many units at a time: rows of a model, bytes of bodies. Others are to come again."""

    def __init__(self, limit: int, unit: str, on_change: Callable[[float], None] | None = None) -> None:
        """`on_change` is told how many are taken."""
        self.limit = limit
        self.taken = 0
        self._unit = unit
        self._on_change = on_change
        self._rate = 0.0

    def admit(self, count: int, size: int = 1) -> None:
        """Take `count` permits, to be given back by `release`.

        `size`: of what they are a part of. As many are left to others, or a quarter of all: large ones
        are refused first, and small ones find room beside them.
        Raises Overloaded, having taken none.
        """
        too_many = self.taken + count - self.limit
        if size > 1:
            too_many += max(0, min(size - 1, self.limit // 4, self.limit - size))
        if too_many > 0:
            raise Overloaded(
                f"{self.taken:,} of {self.limit:,} {self._unit} are under way; {count:,} more do not fit.",
                self.wait_s(too_many),
            )
        self.take(count)

    def take(self, count: int) -> None:
        """For what is there whether or not it fits."""
        self.taken += count
        if self._on_change:
            self._on_change(self.taken)

    def release(self, count: int) -> None:
        self.taken -= count
        if self._on_change and count:
            self._on_change(self.taken)

    def check(self) -> None:
        """Raises Overloaded when not one more would fit."""
        if self.taken >= self.limit:
            self.admit(1)

    def measure(self, count: int, seconds: float) -> None:
        """Learn how fast units are being finished."""
        rate = count / max(seconds, 1e-6)
        self._rate = rate if not self._rate else self._rate + SMOOTHING * (rate - self._rate)

    def wait_s(self, count: int) -> int:
        """After how many whole seconds `count` units will be finished, at the measured rate."""
        if not self._rate:
            return 1
        return min(LONGEST_WAIT_S, max(1, math.ceil(count / self._rate)))


def queue_rows(manifest: Manifest, batch_rows: int, full_rows: int, max_queued_batches: int) -> int:
    """How many rows of a model may wait: full batches, as far as their bytes allow; at least one."""
    by_bytes = QUEUE_BYTES // row_bytes(manifest)
    return max(batch_rows, min(max_queued_batches * full_rows, by_bytes))


def row_bytes(manifest: Manifest) -> int:
    """The bytes of one row and its answer."""
    tensors = (manifest.input, manifest.output)
    return sum(math.prod(tensor.row_shape) * DTYPES[tensor.dtype].itemsize for tensor in tensors)
