"""Tensors of the protocol: their datatypes, and their elements as bytes and as JSON, exact or refused.

As bytes they are little-endian and row-major; a string is its length in four bytes, and then so many
(Open Inference Protocol, "Tensor Data"; Triton's binary tensor data extension).
"""

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidRequest
from service.problems import shortened
from service.serving.steps import Steps

Shape = tuple[int, ...]
Array = NDArray[Any]
Strings = list[bytes | None]

BYTES, BF16, FP16, BOOL = "BYTES", "BF16", "FP16", "BOOL"
NUMBERS: dict[str, np.dtype[Any]] = {
    BOOL: np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    FP16: np.dtype("<f2"),
    BF16: np.dtype("<u2"),  # the upper half of a float32's bits
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
DATATYPES = (*NUMBERS, BYTES)
_WITHOUT_JSON = (FP16, BF16)  # of which the protocol says that they are bytes alone

_LENGTH_BYTES = 4  # of a string
PIECE = 4 * 1024  # elements that are read at a time
MOST_STRINGS = 16 * 1024  # of one tensor: more than any model takes rows


class Tensor(NamedTuple):
    """One that came, read: numbers, or strings of which some may be missing."""

    name: str
    datatype: str
    shape: Shape
    values: Array | Strings


def size_of(datatype: str, shape: Shape) -> int | None:
    """Its bytes; None: that is known of numbers alone."""
    return None if datatype == BYTES else math.prod(shape) * NUMBERS[datatype].itemsize


def of_bytes(name: str, datatype: str, shape: Shape, data: memoryview) -> Steps[Tensor]:
    """Raises InvalidRequest."""
    if datatype == BYTES:
        return Tensor(name, datatype, shape, (yield from _strings_in(name, math.prod(shape), data)))
    size = size_of(datatype, shape)
    if len(data) != size:
        raise wrong(name, f"{datatype} of the shape {list(shape)} has {size:,} bytes, not {len(data):,}")
    if datatype == BOOL and data.nbytes and np.frombuffer(data, np.uint8).max() > 1:
        raise wrong(name, "a BOOL is a byte of 0 or 1")
    values: Array = np.frombuffer(data, NUMBERS[datatype])
    if datatype == BF16:
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return Tensor(name, datatype, shape, values.reshape(shape))


def of_json(name: str, datatype: str, shape: Shape, data: Any) -> Steps[Tensor]:
    """From nested lists of just this shape, or from one list. Raises InvalidRequest."""
    if datatype in _WITHOUT_JSON:
        raise wrong(name, f"{datatype} has no form in JSON; send it as binary data, or FP32")
    flat = _flat(name, shape, data)
    yield
    if datatype == BYTES:
        return Tensor(name, datatype, shape, (yield from _texts(name, flat)))
    values = np.empty(len(flat), NUMBERS[datatype])
    for at in range(0, len(flat), PIECE):
        piece = flat[at : at + PIECE]
        values[at : at + PIECE] = _numbers(name, datatype, piece, at)
        yield
    return Tensor(name, datatype, shape, values.reshape(shape))


def strings_as_bytes(strings: Sequence[bytes]) -> bytes:
    return b"".join([part for s in strings for part in (len(s).to_bytes(_LENGTH_BYTES, "little"), s)])


def _strings_in(name: str, count: int, data: memoryview) -> Steps[Strings]:
    _check_count(name, count)
    strings: Strings = []
    at = 0
    while at < len(data) and len(strings) < count:
        length = int.from_bytes(data[at : at + _LENGTH_BYTES], "little")
        end = at + _LENGTH_BYTES + length
        if at + _LENGTH_BYTES > len(data) or end > len(data):
            raise wrong(name, f"its data ends within the string {len(strings)}")
        strings.append(bytes(data[at + _LENGTH_BYTES : end]))
        at = end
        if len(strings) % PIECE == 0:
            yield
    if len(strings) < count:
        raise wrong(name, f"its shape has {count:,} strings, its data {len(strings):,}")
    if at < len(data):
        raise wrong(name, f"{len(data) - at:,} bytes are left behind its {count:,} strings")
    return strings


def _texts(name: str, texts: Sequence[Any]) -> Steps[Strings]:
    _check_count(name, len(texts))
    strings: Strings = []
    for number, text in enumerate(texts):
        if not isinstance(text, str | None):
            raise wrong(
                name, f"element {number} is {_shown(text)}; in JSON an element of BYTES is a string"
            )
        strings.append(None if text is None else text.encode())
        if number % PIECE == 0:
            yield
    return strings


def _check_count(name: str, count: int) -> None:
    if count > MOST_STRINGS:
        raise wrong(name, f"a tensor of BYTES has {MOST_STRINGS:,} elements at most, not {count:,}")


def _flat(name: str, shape: Shape, data: Any) -> list[Any]:
    """All elements, in order. Raises InvalidRequest."""
    if not isinstance(data, list):
        raise wrong(name, f"its data is {_shown(data)}, no list")
    if not (data and isinstance(data[0], list)):
        if len(data) != math.prod(shape):
            raise wrong(
                name, f"the shape {list(shape)} has {math.prod(shape):,} elements, its data {len(data):,}"
            )
        return data
    items = [data]
    for length in shape:
        if set(map(type, items)) - {list} or set(map(len, items)) - {length}:
            raise wrong(name, f"its data is nested otherwise than the shape {list(shape)} says")
        items = list(chain.from_iterable(items))
    return items


def _numbers(name: str, datatype: str, piece: list[Any], first: int) -> Array:
    """Raises InvalidRequest, which names the first that is none of its kind."""
    dtype = NUMBERS[datatype]
    types = set(map(type, piece))
    allowed: set[type] = {bool} if dtype.kind == "b" else {int}
    if dtype.kind == "f":
        allowed = {int, float, type(None)}
    if types <= allowed:
        try:
            values: Array = np.array(piece, np.float64 if dtype.kind == "f" else dtype)
            with np.errstate(over="ignore"):
                converted = values.astype(dtype)
        except OverflowError:
            pass
        else:
            if dtype.kind != "f" or not (np.isinf(converted) & np.isfinite(values)).any():
                return converted
    for number, value in enumerate(piece, first):
        if type(value) not in allowed or not _fits(value, dtype):
            raise wrong(name, f"element {number} is {_shown(value)}, which is no {datatype}")
    raise AssertionError(f"{piece} is {datatype}")


def _fits(value: Any, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "b" or value is None:
        return True
    if dtype.kind == "f":
        try:
            number = np.float64(value)
        except OverflowError:
            return False
        with np.errstate(over="ignore"):
            return bool(np.isfinite(number.astype(dtype)) or not np.isfinite(number))
    limits = np.iinfo(dtype)
    return bool(limits.min <= value <= limits.max)


def wrong(name: str, message: str) -> InvalidRequest:
    """Of an input."""
    return InvalidRequest(f"Input {shortened(name)!r}: {message}.")


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    names = {True: "true", False: "false", None: "null"}
    return names[value] if value is None or isinstance(value, bool) else shortened(repr(value), 40)
