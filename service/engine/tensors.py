"""Tensors as a manifest has them: JSON, exact to the bit."""

import re

import torch
from torch import Tensor

from service.artifacts.interface import DType
from service.artifacts.manifest import ArtifactError, TensorData, printable

DTYPES: dict[DType, torch.dtype] = {"uint8": torch.uint8, "float32": torch.float32}
_NAMED = re.compile(r"(builtins\.|torch\.)?\w*(Error|Exception):( |$)")


def encode_tensor(tensor: Tensor) -> TensorData:
    """The JSON form of a uint8 or float32 tensor."""
    name: DType = "uint8" if tensor.dtype == torch.uint8 else "float32"
    raw = tensor.detach().to(DTYPES[name]).cpu().numpy().tobytes()
    return TensorData.encode(name, tuple(tensor.shape), raw)


def decode_tensor(data: TensorData) -> Tensor:
    """The tensor of a JSON form. Raises ArtifactError when its bytes do not fill its shape."""
    try:
        flat = torch.frombuffer(bytearray(data.decode()), dtype=DTYPES[data.dtype])
        return flat.reshape(data.shape)
    except (RuntimeError, ValueError) as error:
        raise ArtifactError(f"a tensor of the manifest is malformed: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """A line of what a library says, which may tell whole graphs.

    Of what TorchScript says, a line for every call that led there, the one that says what went wrong.
    """
    lines = str(error).strip().splitlines()
    named = [line.strip() for line in lines if _NAMED.match(line.strip())]
    said = _NAMED.sub("", named[-1], count=1) or named[-1] if named else "".join(lines[:1])
    return printable(said.rstrip(":") or type(error).__name__)
