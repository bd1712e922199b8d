"""How many rows of a model may wait."""

from math import prod

from service.artifacts.manifest import Manifest
from service.engine.tensors import DTYPES

# Rows that wait, with their answers, take no more memory than this, whatever their shape.
QUEUE_BYTES = 256 * 1024 * 1024


def queue_rows(manifest: Manifest, batch_rows: int, full_rows: int, max_queued_batches: int) -> int:
    """Admitted and not yet answered: full batches, as far as their bytes allow; at least one."""
    by_bytes = QUEUE_BYTES // row_bytes(manifest)
    return max(batch_rows, min(max_queued_batches * full_rows, by_bytes))


def row_bytes(manifest: Manifest) -> int:
    """Of one row and its answer."""
    return sum(
        prod(data.row_shape) * DTYPES[data.dtype].itemsize for data in (manifest.input, manifest.output)
    )
