"""Quantized TorchScript archives, with a copy of the net for each batch size.

A layer that oneDNN computes in int8 keeps what it made ready for the batch size and the number of threads
that it met first, and makes it ready anew in every call with others (torch's `PrimitiveCache`, in
`quantized/cpu/OnednnUtils.h`). For a small net that takes as long as a row does. So every size has layers
of its own, which meet no other.
"""

import copy
import warnings
from bisect import bisect_left
from functools import partial
from typing import Any

import torch
from torch import Tensor

from service.engine.devices import AsItIs, Runner
from service.engine.quickest import by_size
from service.engine.torchscript import load_archive

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
        module = load_archive(archive).eval()
        self.run = _frozen(module)
        self._copied = module if len(archive) <= COPIED_BYTES else None

    def per_size(self, row: Tensor) -> Runner:
        """What is the quickest on as many threads as compute now, once it has met its sizes here.

        `row`: [1, ...], an example. Raises RuntimeError when the model fails on it.
        """
        if not self._copied:
            return self.run
        filled_up = [partial(_run, _frozen(self._copied), size) for size in SIZES]
        with AsItIs():
            for run in filled_up:
                run(row)
        return by_size(filled_up, [bisect_left(SIZES, count) for count in range(SIZES[-1] + 1)])


def _frozen(module: Any) -> Runner:
    """A copy with its weights as constants."""
    run: Runner = torch.jit.freeze(copy.deepcopy(module)).forward
    return run


def _run(run: Runner, size: int, rows: Tensor) -> Tensor:
    """Run the layers for that size, which `rows` are filled up to."""
    count = len(rows)
    if count >= size:
        return run(rows)
    return run(torch.cat([rows, rows[:1].expand(size - count, *rows.shape[1:])]))[:count]


def _meet_quantized_tensors() -> None:
    """Torch warns once a process that they will go; met in TorchScript first, it writes that to stderr."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"torch\.quantize_per_tensor")
        torch.quantize_per_tensor(torch.zeros(1), 1.0, 0, torch.quint8)
