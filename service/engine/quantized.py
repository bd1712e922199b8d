"""Quantized TorchScript archives, with a copy of the net for each batch size.

A layer that oneDNN computes in int8 keeps what it made ready for the batch size and the number of threads
that it met first, and makes it ready anew in every call with others (torch's `PrimitiveCache`, in
`quantized/cpu/OnednnUtils.h`). For a small net that takes as long as a row does. So every size has layers
of its own, which meet no other.
"""

import copy
import io
import warnings
from typing import Any

import torch
from torch import Tensor

from service.engine.devices import AsItIs, Runner

# Batch sizes with layers of their own; a batch of another is filled up to the next. From eight rows on a
# step costs less in rows that nobody asked for than it saves.
SIZES = (1, 2, 3, 4, 6, 8, 12, *range(16, 65, 8))

# Of a larger archive there is one: its layers take long enough, and copies would take much memory.
COPIED_BYTES = 4 * 2**20


class Quantized:
    """How to compute one archive of quantized layers: `run` as it was loaded, `per_size` sooner."""

    def __init__(self, archive: bytes) -> None:
        """Raises RuntimeError, ValueError or AttributeError when torch cannot load it."""
        _meet_quantized_tensors()
        module = torch.jit.load(io.BytesIO(archive)).eval()
        sizes = SIZES if len(archive) <= COPIED_BYTES else ()
        self.run = _frozen(module)
        self._by_rows = list[tuple[int, Runner]]()  # for each number of rows, from 0
        for size in sizes:
            self._by_rows += [(size, _frozen(module))] * (size + 1 - len(self._by_rows))

    def per_size(self, row: Tensor) -> Runner:
        """What is the quickest on as many threads as compute now, once it has met its sizes here.

        `row`: [1, ...], an example. Raises RuntimeError when the model fails on it.
        """
        by_rows = self._by_rows
        if not by_rows:
            return self.run
        with AsItIs():
            for size, run in dict(by_rows).items():
                run(_filled(row, size))
        return lambda rows: _run(rows, by_rows)


def _frozen(module: Any) -> Runner:
    """A copy with its weights as constants."""
    run: Runner = torch.jit.freeze(copy.deepcopy(module)).forward
    return run


def _run(rows: Tensor, by_rows: list[tuple[int, Runner]]) -> Tensor:
    count = len(rows)
    size, run = by_rows[min(count, len(by_rows) - 1)]
    return run(rows) if count >= size else run(_filled(rows, size))[:count]


def _filled(rows: Tensor, size: int) -> Tensor:
    return torch.cat([rows, rows[:1].expand(size - len(rows), *rows.shape[1:])])


def _meet_quantized_tensors() -> None:
    """Torch warns once a process that they will go; met in TorchScript first, it writes that to stderr."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"torch\.quantize_per_tensor")
        torch.quantize_per_tensor(torch.zeros(1), 1.0, 0, torch.quint8)
