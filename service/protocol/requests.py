"""A request for inference: its JSON, and the bytes behind it (Triton's binary tensor data extension).

The one mark of bytes is `Inference-Header-Content-Length`, the length of the JSON before them: real clients
send any `Content-Type`, or none.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from service.artifacts.manifest import Manifest
from service.errors import InvalidRequest
from service.problems import shortened
from service.protocol.documents import Input, Parameters, Wanted, flag, parsing, whole
from service.protocol.interface import TensorSpec, inputs_of
from service.protocol.tensors import (
    BYTES,
    DATATYPES,
    Shape,
    Tensor,
    of_bytes,
    of_json,
    size_of,
    strings_as_bytes,
    wrong,
)
from service.serving.steps import Steps, taken

HEADER = b"inference-header-content-length"

# What is said beside binary tensors is mostly said again and again: of so many bytes, so many are kept.
REPEATED_BYTES, MOST_REPEATED = 1024, 64

# The manifest that was asked last with the same words, and what they choose of its outputs; or nothing.
Kept = list[tuple[Manifest, list[Any]]]


class Given(NamedTuple):
    """A tensor that came, not yet read: `data` as bytes, or of JSON."""

    name: str
    datatype: str
    shape: Shape
    data: Any

    def reading(self) -> Steps[Tensor]:
        """Raises InvalidRequest."""
        read = of_bytes if isinstance(self.data, memoryview) else of_json
        return (yield from read(self.name, self.datatype, self.shape, self.data))


class _Placed(NamedTuple):
    """A tensor of which the JSON tells: its `data`, or which of the bytes behind the JSON it is."""

    name: str
    datatype: str
    shape: Shape
    data: Any
    behind: slice | None


class _Plan(NamedTuple):
    """What the JSON says, of any bytes behind it that are so many; it fits them."""

    id: str | None
    parameters: Parameters
    inputs: list[_Placed]
    outputs: list[Wanted]
    kept: Kept


class Inference(NamedTuple):
    """What is asked: `outputs` by name, all where none is named."""

    id: str | None
    parameters: Parameters
    inputs: list[Given]
    outputs: list[Wanted]
    kept: Kept | None = None

    @property
    def binary(self) -> bool:
        """Whether outputs go as bytes, where theirs says nothing."""
        return bool(flag(self.parameters, "binary_data_output"))

    @property
    def timeout_s(self) -> float | None:
        return whole(self.parameters, "timeout") / 1e6 or None


def reading(content: bytes, header: bytes | None, manifest: Manifest) -> Steps[Inference]:
    """`header`: what `Inference-Header-Content-Length` says, if it is there.

    Raises InvalidRequest or PayloadTooLarge.
    """
    length = json_length(header, len(content))
    if header is not None and not length:
        return Inference(None, {"binary_data_output": True}, [_raw(content, inputs_of(manifest))], [])
    behind = memoryview(content)[length:]
    if header is not None and length <= REPEATED_BYTES:
        plan = _repeated(content[:length], len(behind))
    else:
        plan = yield from _planning(content[:length], len(behind))
    given = [
        Given(name, datatype, shape, data if where is None else behind[where])
        for name, datatype, shape, data, where in plan.inputs
    ]
    return Inference(plan.id, plan.parameters, given, plan.outputs, plan.kept)


@lru_cache(MOST_REPEATED)
def _repeated(document: bytes, behind: int) -> _Plan:
    """Raises InvalidRequest or PayloadTooLarge."""
    return taken(_planning(document, behind))


def _planning(document: bytes, behind: int) -> Steps[_Plan]:
    """`behind`: so many bytes follow. Raises InvalidRequest or PayloadTooLarge."""
    said = yield from parsing(document)
    return _Plan(said.id, said.parameters, _placed(said.inputs, behind), said.outputs or [], [])


def check_datatype(name: str, datatype: str) -> None:
    """Raises InvalidRequest."""
    if datatype not in DATATYPES:
        raise wrong(name, f"{shortened(datatype)!r} is no datatype; there are {', '.join(DATATYPES)}")


def json_length(header: bytes | None, size: int) -> int:
    """Of the JSON within a body of that size. Raises InvalidRequest."""
    if header is None:
        return size
    if not (header.isdigit() and len(header) <= 18 and int(header) <= size):
        raise InvalidRequest(
            f"Inference-Header-Content-Length is {shortened(header.decode('latin-1'))!r}; it must be the"
            f" length of the JSON, which comes first of the {size:,} bytes of the body (once inflated)."
        )
    return int(header)


def _raw(content: bytes, inputs: Sequence[TensorSpec]) -> Given:
    """The whole body is the one tensor that the model takes, of as many rows as it has.

    Raises InvalidRequest.
    """
    if len(inputs) != 1:
        raise InvalidRequest(f"A body without JSON is one input, of which the model takes {len(inputs)}.")
    (spec,) = inputs
    if spec.datatype == BYTES:
        return Given(spec.name, BYTES, (1, *spec.row_shape), memoryview(strings_as_bytes([content])))
    row_bytes = size_of(spec.datatype, spec.row_shape) or 1
    rows, rest = divmod(len(content), row_bytes)
    if rest:
        raise wrong(spec.name, f"a row of it has {row_bytes:,} bytes, of which {len(content):,} are none")
    return Given(spec.name, spec.datatype, (rows, *spec.row_shape), memoryview(content))


def _placed(inputs: list[Input], behind: int) -> list[_Placed]:
    """Each with its part of the bytes behind the JSON. Raises InvalidRequest."""
    placed, at = [], 0
    for said in inputs:
        name, datatype, shape = said.name, said.datatype, tuple(said.shape)
        check_datatype(name, datatype)
        if "binary_data_size" not in said.parameters or (said.data is None and not math.prod(shape)):
            data = [] if said.data is None and not math.prod(shape) else said.data
            placed.append(_Placed(name, datatype, shape, data, None))
            continue
        size = whole(said.parameters, "binary_data_size")
        if said.data is not None:
            raise wrong(name, "has both data and binary_data_size")
        expected = size_of(datatype, shape)
        if expected not in (None, size):
            raise wrong(name, f"{datatype} of the shape {list(shape)} has {expected:,} bytes, not {size:,}")
        if size > behind - at:
            raise wrong(name, f"of its {size:,} bytes {behind - at:,} are there")
        placed.append(_Placed(name, datatype, shape, None, slice(at, at + size)))
        at += size
    if at < behind:
        raise InvalidRequest(f"{behind - at:,} bytes are left behind those of the inputs.")
    return placed
