"""One loaded model: verified, checked against what training saw, warmed up, then asked for answers.

Of the service only this module knows TorchScript; another format is one more branch in `load`.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

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

# The profiling executor specialises a graph on its first calls with a shape; these sizes and three
# calls each keep that out of the first requests.
WARM_UP_BATCH_SIZES = (1, 2, 8, 64)
WARM_UP_CALLS = 3

_DTYPES: dict[DType, torch.dtype] = {"uint8": torch.uint8, "float32": torch.float32}


class DeviceUnavailable(Exception):
    """The device that was asked for is not on this machine."""


def resolve_device(choice: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device that exists. Raises DeviceUnavailable."""
    if choice == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(choice)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceUnavailable(
                f"device {choice!r} was asked for, but this machine has {count} usable CUDA device(s);"
                " use 'cpu' or 'auto', or check the NVIDIA driver and container toolkit"
            )
    return device


class Predictor:
    """Answers batches with one version of one model on one device."""

    def __init__(self, module: torch.jit.ScriptModule, manifest: Manifest, device: torch.device) -> None:
        self.manifest = manifest
        self.device = device
        self._module = module
        self._dtype = _DTYPES[manifest.input.dtype]

    def predict(self, rows: Tensor) -> Tensor:
        """Answer a batch.

        `rows`: [N, *manifest.input.row_shape] of `manifest.input.dtype`, on the CPU.
        Returns [N, *manifest.output.row_shape] of `manifest.output.dtype`, on the CPU.
        Raises InferenceFailed when the model fails or its answer has another shape.
        """
        expected = (len(rows), *self.manifest.input.row_shape)
        if rows.dtype != self._dtype or tuple(rows.shape) != expected:
            raise InferenceFailed(f"rows are {rows.dtype} {list(rows.shape)}, not {list(expected)}")
        try:
            with torch.inference_mode():
                answers: Tensor = self._module(rows.to(self.device, non_blocking=True)).cpu()
        except RuntimeError as error:
            raise InferenceFailed from error
        # A wrong row count would hand one caller's answer to another.
        if tuple(answers.shape) != (len(rows), *self.manifest.output.row_shape):
            raise InferenceFailed(f"model answered {list(answers.shape)} to {len(rows)} rows")
        return answers


def load(folder: Path, device: torch.device) -> Predictor:
    """Load a version folder: verify size and SHA-256, replay its check, warm up.

    Raises ArtifactError when the version must not be served.
    """
    manifest = read_manifest(folder)
    model = read_model(folder, manifest)
    if device.type == "cuda":
        # TF32 rounds to 10 bits of mantissa: answers would differ from the CPU's by about 1e-3.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torchscript_accepted():
            module = torch.jit.load(io.BytesIO(model), map_location=device)
    except (RuntimeError, ValueError) as error:
        raise ArtifactError(f"{title(folder)}: not a TorchScript archive: {_first_line(error)}") from error
    predictor = Predictor(module.eval(), manifest, device)
    try:
        _replay_check(predictor)
        _warm_up(predictor)
    except InferenceFailed as error:
        cause = _first_line(error.__cause__ or error)
        raise ArtifactError(f"{title(folder)}: the model fails on its own check: {cause}") from error
    return predictor


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


def _replay_check(predictor: Predictor) -> None:
    check = predictor.manifest.check
    expected = decode_tensor(check.outputs)
    answers = predictor.predict(decode_tensor(check.inputs))
    if answers.shape != expected.shape:
        raise ArtifactError(f"check: answers are {answers.shape}, not {expected.shape}")
    difference = (answers - expected).abs().max().item()
    # Negated so that NaN, which compares false with everything, fails.
    if not difference <= check.tolerance:
        raise ArtifactError(
            f"check: answers differ from training's by {difference:.3g}, more than {check.tolerance:g}"
        )


def _warm_up(predictor: Predictor) -> None:
    row = decode_tensor(predictor.manifest.check.inputs)[:1]
    for size in WARM_UP_BATCH_SIZES:
        batch = row.repeat(size, *[1] * (row.dim() - 1))
        for _ in range(WARM_UP_CALLS):
            predictor.predict(batch)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
