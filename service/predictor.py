"""One loaded model: verified, checked against what training saw, warmed up, then asked for answers.

Of the service only this module knows TorchScript; another format is one more branch in `load`.
"""

import io
import math
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch
from torch import Tensor

from service.devices import Runner, runner
from service.errors import InferenceFailed
from service.manifest import (
    ArtifactError,
    DType,
    Manifest,
    TensorData,
    read_manifest,
    read_model,
    title,
)
from service.settings import Precision
from service.signatures import TrustedKeys

# The batch sizes that are run before the first request. On a CPU this lets torch and oneDNN choose their
# kernels and shows how long a batch takes; on CUDA each is one captured graph.
MAX_BATCH_ROWS = 64
BATCH_SIZES = (1, 2, 4, 8, 16, 32, MAX_BATCH_ROWS)
WARM_UP_CALLS = 3

# A model that answers a full batch in so little time is run on the event loop (docs/decisions/0005).
QUICK_S = 0.002

# A row alone takes another way than a batch where that is so many times as fast, in the best of some calls.
ALONE_GAIN, ALONE_CALLS = 1.25, 10

# How far probabilities may be from training's when they are computed in half precision.
HALF_TOLERANCE = 0.02

_DTYPES: dict[DType, torch.dtype] = {"uint8": torch.uint8, "float32": torch.float32}


class Predictor:
    """Answers batches with one version of one model on one device."""

    def __init__(self, run: Runner, manifest: Manifest, device: torch.device) -> None:
        self.manifest = manifest
        self.device = device
        self.quick = False
        self._run = run
        self._dtype = _DTYPES[manifest.input.dtype]

    def predict(self, rows: Tensor) -> Tensor:
        """Answer a batch.

        `rows`: [N, *manifest.input.row_shape] of `manifest.input.dtype`, on the CPU.
        Returns [N, *manifest.output.row_shape] f32, on the CPU.
        Raises InferenceFailed when the model fails, or its answer has another shape or is not finite.
        """
        expected = (len(rows), *self.manifest.input.row_shape)
        if rows.dtype != self._dtype or tuple(rows.shape) != expected:
            raise InferenceFailed(f"rows are {rows.dtype} {list(rows.shape)}, not {list(expected)}")
        try:
            with torch.inference_mode(), _as_it_is():
                answers = self._run(rows)
                # Summed by NumPy: for that torch would give up the interpreter lock, and wait for it.
                finite = math.isfinite(answers.numpy().sum())
        except RuntimeError as error:
            raise InferenceFailed from error
        # A wrong row count would hand one caller's answer to another.
        if tuple(answers.shape) != (len(rows), *self.manifest.output.row_shape):
            raise InferenceFailed(f"model answered {list(answers.shape)} to {len(rows)} rows")
        if not finite:
            raise InferenceFailed("model answered what is no finite number")
        return answers

    def warm_up(self) -> None:
        """Run every batch size, so that no request pays for a first call, and time the largest."""
        row = example_row(self.manifest)
        for size in BATCH_SIZES:
            batch = row.repeat(size, *[1] * (row.dim() - 1))
            seconds = _seconds(self.predict, batch, WARM_UP_CALLS)
        self.quick = seconds <= QUICK_S


def load(
    folder: Path,
    device: torch.device,
    precision: Precision = "float32",
    trusted: TrustedKeys | None = None,
) -> Predictor:
    """Load a version folder: verify signature, size and SHA-256, optimise, replay its check, warm up.

    Without `trusted` keys no signature is asked for. In half precision its answers may differ from
    training's by HALF_TOLERANCE.
    Raises ArtifactError when the version must not be served.
    """
    manifest = read_manifest(folder, trusted.verify if trusted else None)
    model = read_model(folder, manifest)
    dtype: torch.dtype = getattr(torch, precision)
    try:
        with torchscript_accepted():
            module = torch.jit.load(io.BytesIO(model), map_location=device).eval()
            plain = torch.jit.freeze(module).forward  # weights become constants
            fused = _fused(module, device, dtype)
    except (RuntimeError, ValueError) as error:
        raise ArtifactError(f"{title(folder)}: not a TorchScript archive: {_first_line(error)}") from error
    try:
        row = example_row(manifest)
        with torch.inference_mode(), _as_it_is():
            call = _quickest(plain, fused, row) if fused else plain
            run = runner(call, row, device, dtype, BATCH_SIZES)
        predictor = Predictor(run, manifest, device)
        _replay_check(predictor, manifest.check.tolerance if dtype == torch.float32 else HALF_TOLERANCE)
        predictor.warm_up()
    except (InferenceFailed, RuntimeError) as error:
        cause = _first_line(error.__cause__ or error)
        raise ArtifactError(f"{title(folder)}: the model fails on its own check: {cause}") from error
    return predictor


def example_row(manifest: Manifest) -> Tensor:
    """One row that the model is known to answer: [1, *manifest.input.row_shape]."""
    return decode_tensor(manifest.check.inputs)[:1]


def _fused(module: torch.jit.ScriptModule, device: torch.device, dtype: torch.dtype) -> Runner | None:
    """The module with oneDNN's fused layers, on a CPU in float32; elsewhere there are none."""
    if device.type != "cpu" or dtype != torch.float32:
        return None
    fused: Runner = torch.jit.optimize_for_inference(module).forward
    return fused


def _quickest(plain: Runner, fused: Runner, row: Tensor) -> Runner:
    """`fused`, but `plain` for a row alone where that is much quicker.

    Convolutions, once fused, are laid out for batches: alone, a row takes up to twice as long in them.
    """
    if ALONE_GAIN * _seconds(plain, row, ALONE_CALLS) > _seconds(fused, row, ALONE_CALLS):
        return fused
    return lambda rows: (plain if len(rows) == 1 else fused)(rows)


def _seconds(call: Runner, batch: Tensor, calls: int) -> float:
    """What the quickest of some calls takes."""
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        call(batch)
        times.append(time.perf_counter() - started)
    return min(times)


def _as_it_is() -> AbstractContextManager[None]:
    """Run TorchScript without its optimising executor, on this thread.

    That executor compiles anew on the second and third call with each shape, which stalls requests for 50
    to 250 ms. A module that was optimised when it was loaded is as fast without it.
    """
    context: AbstractContextManager[None] = torch.jit.optimized_execution(False)  # type: ignore[attr-defined]
    return context


@contextmanager
def torchscript_accepted() -> Iterator[None]:
    """Silence TorchScript's deprecation notice: docs/decisions/0002 says why it is used nevertheless."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is (deprecated|not supported)")
        yield


def encode_tensor(tensor: Tensor) -> TensorData:
    """The JSON form of a uint8 or float32 tensor."""
    name: DType = "uint8" if tensor.dtype == torch.uint8 else "float32"
    raw = tensor.detach().to(_DTYPES[name]).cpu().numpy().tobytes()
    return TensorData.encode(name, tuple(tensor.shape), raw)


def decode_tensor(data: TensorData) -> Tensor:
    """The tensor of a JSON form. Raises ArtifactError when its bytes do not fill its shape."""
    try:
        flat = torch.frombuffer(bytearray(data.decode()), dtype=_DTYPES[data.dtype])
        return flat.reshape(data.shape)
    except (RuntimeError, ValueError) as error:
        raise ArtifactError(f"a tensor of the manifest is malformed: {_first_line(error)}") from error


def _replay_check(predictor: Predictor, tolerance: float) -> None:
    check = predictor.manifest.check
    expected = decode_tensor(check.outputs)
    answers = predictor.predict(decode_tensor(check.inputs))
    if answers.shape != expected.shape:
        raise ArtifactError(f"check: answers are {answers.shape}, not {expected.shape}")
    difference = (answers - expected).abs().max().item()
    # Negated so that NaN, which compares false with everything, fails.
    if not difference <= tolerance:
        raise ArtifactError(
            f"check: answers differ from training's by {difference:.3g}, more than {tolerance:g}"
        )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
