"""One loaded model, which is asked for answers, batch by batch."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.artifacts.fitness import SUM_TOLERANCE
from service.artifacts.manifest import Manifest
from service.engine.devices import AsItIs, Runner
from service.engine.explained import Explained
from service.engine.quickest import ENOUGH_S, Timing, seconds_of
from service.engine.tensors import DTYPES, decode_tensor
from service.engine.torchscript import MODEL_FAULTS
from service.errors import InferenceFailed

# The batch sizes that are run before the first request. On a CPU this lets torch and oneDNN choose their
# kernels and shows how long a batch takes; on CUDA each is one captured graph.
MAX_BATCH_ROWS = 64
BATCH_SIZES = (1, 2, 4, 8, 16, 32, MAX_BATCH_ROWS)
WARM_UP_CALLS = 3

# A model that answers a full batch in so little time is run on the event loop (docs/decisions/0005).
# Where a batch takes longer than the other, no larger ones are run: others wait for each of them.
QUICK_S, SLOW_S = 0.004, 1.0

# The answers to a batch of few rows are no more numbers than that.
FEW_NUMBERS = 64


class Choice(NamedTuple):
    """What the clock has said of a model that so many threads compute. Numbers, for another process."""

    ways: tuple[int, ...]  # the quickest, by the number of rows; none where there is one way
    quick: bool
    slow_rows: int | None
    timings: tuple[Timing, ...] = ()


class Predictor:
    """Answers batches with one version of one model on one device. One batch at a time."""

    def __init__(self, run: Runner, manifest: Manifest, device: torch.device) -> None:
        self.manifest = manifest
        self.device = device
        self.quick = False
        self.slow_rows: int | None = None  # no batch should have more, where larger ones take long
        self.choice: Choice | None = None
        self.explained: Explained | None = None
        self._run = run
        self._dtype = DTYPES[manifest.input.dtype]
        self._row_shape = torch.Size(manifest.input.row_shape)
        self._answer_shape = torch.Size(manifest.output.row_shape)
        self._are_probabilities = manifest.output.kind != "numbers"

    def answer(self, rows: Tensor) -> NDArray[np.float32]:
        """Answer a batch.

        `rows`: [N, *manifest.input.row_shape] of `manifest.input.dtype`, on the CPU; the model may write
        to them.
        Returns the outputs, [N, *manifest.output.row_shape]: a copy, for a model may answer with memory
        that it writes to again. Probabilities that rounding has left outside of 0 to 1 are 0 or 1.
        Raises InferenceFailed when the model fails, or its answer has another shape or is not finite.
        """
        count = rows.shape[:1]
        if rows.dtype != self._dtype or rows.shape != count + self._row_shape:
            raise InferenceFailed(
                f"rows are {rows.dtype} {list(rows.shape)}, not {list(self._row_shape)} each"
            )
        try:
            with AsItIs():
                answers = self._run(rows)
        except MODEL_FAULTS as error:
            raise InferenceFailed from error
        # A wrong row count would hand one caller's answer to another.
        if answers.shape != count + self._answer_shape:
            raise InferenceFailed(f"model answered {list(answers.shape)} to {len(rows)} rows")
        outputs: NDArray[np.float32] = answers.float().numpy().copy()
        least, most = _extremes(outputs)
        if not math.isfinite(most - least):
            raise InferenceFailed("model answered what is no finite number")
        if self._are_probabilities and not 0 <= least <= most <= 1 and _is_rounded(least, most):
            outputs.clip(0, 1, out=outputs)
        return outputs

    def predict(self, rows: Tensor) -> Tensor:
        """`answer` as a tensor, f32 on the CPU."""
        return torch.from_numpy(self.answer(rows))

    def warm_up(self) -> None:
        """Run every batch size, so that no request pays for a first call, until one takes long.

        Where a batch takes so long that a first call's own cost is lost in it, larger ones are run only as
        long as one of them could be slow: so many rows more take at most so many times as long.
        """
        row = example_row(self.manifest)
        for size in BATCH_SIZES:
            batch = row.repeat_interleave(size, 0)
            seconds = seconds_of(self.answer, batch, WARM_UP_CALLS)
            if seconds > SLOW_S:
                self.slow_rows = size
                break
            if seconds > ENOUGH_S and seconds * MAX_BATCH_ROWS <= SLOW_S * size:
                break
        self.quick = not self.slow_rows and seconds <= QUICK_S


def _is_rounded(least: float, most: float) -> bool:
    """Whether probabilities are no further off than a model may be that is served."""
    return least >= -SUM_TOLERANCE and most <= 1 + SUM_TOLERANCE


def _extremes(outputs: NDArray[np.float32]) -> tuple[float, float]:
    """The least and the most; none of them is finite where one number is not."""
    # Few are seen to in Python: NumPy's code has left the processor's cache since it was last called.
    if outputs.size <= FEW_NUMBERS:
        numbers = outputs.ravel().tolist()
        if not math.isfinite(sum(numbers)):
            return -math.inf, math.inf
        return min(numbers), max(numbers)
    return float(outputs.min()), float(outputs.max())


def example_row(manifest: Manifest) -> Tensor:
    """One row that the model is known to answer: [1, *manifest.input.row_shape]."""
    return decode_tensor(manifest.check.inputs)[:1]
