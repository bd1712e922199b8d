"""A request for inference: its JSON, and the bytes behind it (Triton's binary tensor data extension).

The one mark of bytes is `Inference-Header-Content-Length`, the length of the JSON before them: real clients
send any `Content-Type`, or none.
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from service.artifacts.manifest import Manifest
from service.endpoints.documents import size_of as size_of_document
from service.errors import InvalidRequest, PayloadTooLarge
from service.problems import found_in, invalid_payload, shortened
from service.protocol.interface import TensorSpec, inputs_of
from service.protocol.parameters import MAX_LENGTH, OrNothing, Parameters, flag, whole
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

# Of the JSON: each value is an object until it is read. A picture of 224×224 has 150,528 of them.
MAX_VALUES, MAX_NESTED, MAX_KEYS = 160_000, 32_768, 8_192
MAX_TENSORS, MAX_DIMENSIONS = 1_024, 8

# What is said beside binary tensors is mostly said again and again: of so many bytes, so many are kept.
REPEATED_BYTES, MOST_REPEATED = 1024, 64


# The manifest that was asked last with the same words, and what they choose of its outputs; or nothing.
Kept = list[tuple[Manifest, list[Any]]]


class _Said(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")  # clients send more than there is

    parameters: OrNothing = {}


class Wanted(_Said):
    """An output that is asked for."""

    name: str

    @property
    def binary(self) -> bool | None:
        """None: as the request says it of all."""
        return flag(self.parameters, "binary_data")

    @property
    def classification(self) -> int:
        """The number of likeliest classes that are asked for; 0: the tensor itself."""
        return whole(self.parameters, "classification")


class _Input(_Said):
    name: str
    datatype: str
    shape: list[Annotated[int, Field(ge=0, le=MAX_LENGTH)]] = Field(min_length=1, max_length=MAX_DIMENSIONS)
    data: Any = None


class _Document(_Said):
    id: str | None = None
    inputs: list[_Input] = Field(min_length=1, max_length=MAX_TENSORS)
    outputs: list[Wanted] | None = Field(None, max_length=MAX_TENSORS)
    _kept: Kept = PrivateAttr(default_factory=list)

    @property
    def kept(self) -> Kept:
        return self._kept


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
    if header is not None and length <= REPEATED_BYTES:
        said = _repeated(content[:length])
    else:
        said = yield from _said(content[:length])
    yield
    given = _given(said.inputs, memoryview(content)[length:])
    return Inference(said.id, said.parameters, given, said.outputs or [], said.kept)


@lru_cache(MOST_REPEATED)
def _repeated(document: bytes) -> _Document:
    """Raises InvalidRequest or PayloadTooLarge."""
    return taken(_said(document))


def _said(document: bytes) -> Steps[_Document]:
    """Raises InvalidRequest or PayloadTooLarge."""
    yield from _check_size(document)
    said = _parsed(document)
    yield
    check_names("input", [tensor.name for tensor in said.inputs])
    check_names("output", [wanted.name for wanted in said.outputs or []])
    return said


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


def _check_size(document: bytes) -> Steps[None]:
    """Raises PayloadTooLarge where it might take long to parse."""
    size = yield from size_of_document(document)
    limits = (MAX_VALUES, "values"), (MAX_KEYS, "keys"), (MAX_NESTED, "lists and objects")
    for count, (limit, what) in zip(size, limits, strict=True):
        if count > limit:
            raise PayloadTooLarge(
                f"The JSON has {count:,} {what}, more than {limit:,}: send large tensors as binary data,"
                " or their data as one list."
            )


def _parsed(document: bytes) -> _Document:
    """Raises InvalidRequest."""
    try:
        return _Document.model_validate_json(document)
    except ValidationError as error:
        invalid = invalid_payload(found_in(error))
        raise InvalidRequest(invalid.detail, invalid.errors, invalid.more) from None


def check_names(what: str, names: Sequence[str]) -> None:
    """Raises InvalidRequest where one is there twice."""
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise InvalidRequest(f"The {what} {shortened(twice)!r} is there more than once.")


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


def _given(inputs: list[_Input], binary: memoryview) -> list[Given]:
    """Each with its part of what is behind the JSON. Raises InvalidRequest."""
    given, at = [], 0
    for said in inputs:
        name, datatype, shape = said.name, said.datatype, tuple(said.shape)
        check_datatype(name, datatype)
        if "shared_memory_region" in said.parameters:
            raise wrong(name, "shared memory is not read; send its data")
        if "binary_data_size" not in said.parameters or (said.data is None and not math.prod(shape)):
            data = [] if said.data is None and not math.prod(shape) else said.data
            given.append(Given(name, datatype, shape, data))
            continue
        size = whole(said.parameters, "binary_data_size")
        if said.data is not None:
            raise wrong(name, "has both data and binary_data_size")
        expected = size_of(datatype, shape)
        if expected not in (None, size):
            raise wrong(name, f"{datatype} of the shape {list(shape)} has {expected:,} bytes, not {size:,}")
        if size > len(binary) - at:
            raise wrong(name, f"of its {size:,} bytes {len(binary) - at:,} are there")
        given.append(Given(name, datatype, shape, binary[at : at + size]))
        at += size
    if at < len(binary):
        raise InvalidRequest(f"{len(binary) - at:,} bytes are left behind those of the inputs.")
    return given
