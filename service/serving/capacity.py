"""How many rows of a model are computed together, and how many may wait."""

from math import prod
from typing import NamedTuple

from service.artifacts.manifest import Kind, Manifest
from service.engine.predictor import MAX_BATCH_ROWS
from service.engine.tensors import DTYPES

# The most rows of one batch, and how many count as one where places are limited. Some hundred rows of a
# table are computed and answered in a fraction of a millisecond, which others can wait.
BATCH_ROWS: dict[Kind, int] = {"table": 400, "picture": MAX_BATCH_ROWS, "digit": MAX_BATCH_ROWS}
FULL_ROWS: dict[Kind, int] = {"table": 10_000, "picture": MAX_BATCH_ROWS, "digit": MAX_BATCH_ROWS}

# Rows that wait, with their answers, take no more memory than this, whatever their shape.
QUEUE_BYTES = 256 * 1024 * 1024


class Capacity(NamedTuple):
    """`queue_rows`: admitted and not yet answered."""

    batch_rows: int
    queue_rows: int

    @classmethod
    def of(cls, manifest: Manifest, max_queued_batches: int) -> "Capacity":
        """By the kind of its endpoint, and by what a row of it and its answer take; at least one batch."""
        batch_rows = BATCH_ROWS[manifest.kind]
        by_bytes = QUEUE_BYTES // row_bytes(manifest)
        queue_rows = min(max_queued_batches * FULL_ROWS[manifest.kind], by_bytes)
        return cls(batch_rows, max(batch_rows, queue_rows))


def row_bytes(manifest: Manifest) -> int:
    """Of one row and its answer."""
    return sum(
        prod(data.row_shape) * DTYPES[data.dtype].itemsize for data in (manifest.input, manifest.output)
    )
