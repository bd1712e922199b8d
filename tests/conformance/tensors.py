"""The tensors of a small server that is right, by numpy: none of the suite's own code is in it."""

import json
import math
from typing import Any

import numpy as np

from tests.conformance.faults import Faults

Array = np.ndarray[Any, np.dtype[Any]]
NUMPY = {"FP32": "<f4", "INT32": "<i4", "INT64": "<i8"}


def take_inputs(
    document: dict[str, Any], tail: bytes, inputs: dict[str, tuple[str, list[int]]], faults: Faults
) -> dict[str, Array]:
    """Every input of the request, checked."""
    entries = document.get("inputs")
    if entries is None:
        faults.refuse("no-inputs")
    if not isinstance(entries, list):
        faults.refuse("inputs-no-array")
    found: dict[str, Array] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            faults.refuse("inputs-no-objects")
        for member in ("name", "datatype", "shape"):
            if member not in entry:
                faults.refuse(f"input-without-{member}")
        if entry["name"] in found:
            faults.refuse("input-twice")
        if entry["name"] not in inputs:
            faults.refuse("unknown-input")
        found[entry["name"]], tail = take(entry, tail, *inputs[entry["name"]], faults)
    if len(found) < len(inputs):
        faults.refuse("missing-input")
    if tail:
        faults.refuse("octets-left-over")
    return found


def take(
    entry: dict[str, Any], tail: bytes, datatype: str, described: list[int], faults: Faults
) -> tuple[Array, bytes]:
    if entry["datatype"] != datatype:
        faults.refuse("unknown-datatype")
    shape, parameters = entry["shape"], entry.get("parameters") or {}
    if not all(isinstance(size, int) for size in shape):
        faults.refuse("shape-of-strings")
    if any(size < 0 for size in shape):
        faults.refuse("negative-size")
    if "binary_data_size" in parameters:
        if "data" in entry:
            faults.refuse("data-and-octets")
        if math.prod(shape) >= 2**63:
            faults.refuse("overflowing-shape-of-octets")
        values, tail = _octets(parameters["binary_data_size"], tail, datatype, math.prod(shape), faults)
    else:
        if math.prod(shape) >= 2**63:
            faults.refuse("overflowing-shape")
        values = _data(entry, datatype, math.prod(shape), faults)
    if len(shape) != len(described):
        faults.refuse("wrong-rank")
    if any(said not in (-1, size) for said, size in zip(described, shape, strict=True)):
        faults.refuse("wrong-fixed-size")
    return values.reshape(shape), tail


def _octets(size: Any, tail: bytes, datatype: str, count: int, faults: Faults) -> tuple[Array, bytes]:
    if not isinstance(size, int):
        faults.refuse("data-size-no-integer")
    if size < 0:
        faults.refuse("negative-data-size")
    if size >= 2**62:
        faults.refuse("data-size-of-64-bits")
    if size > len(tail):
        faults.refuse("size-too-large" if size - len(tail) > 1000 else "octets-end-early")
    own, tail = tail[:size], tail[size:]
    if datatype == "BYTES":
        return np.array(_strings(own, faults), object), tail
    wanted = count * np.dtype(NUMPY[datatype]).itemsize
    if size != wanted:
        faults.refuse("size-too-small" if size == wanted - 1 else "shape-beyond-octets")
    return np.frombuffer(own, NUMPY[datatype]), tail


def _strings(octets: bytes, faults: Faults) -> list[bytes]:
    found = []
    while octets:
        length = int.from_bytes(octets[:4], "little")
        if length > len(octets) - 4:
            faults.refuse("bytes-beyond-octets")
        found.append(octets[4 : 4 + length])
        octets = octets[4 + length :]
    return found


def _data(entry: dict[str, Any], datatype: str, count: int, faults: Faults) -> Array:
    if "data" not in entry:
        faults.refuse("input-without-data")
    data = entry["data"]
    if data and isinstance(data[0], list):
        faults.wants("nested-data")
        try:
            data = np.array(data, object if datatype == "BYTES" else None).reshape(-1).tolist()
        except ValueError:
            faults.refuse("ragged-data")
    if len(data) != count:
        faults.refuse("too-few-data" if len(data) < count else "too-many-data")
    for value in data:
        _check(value, datatype, faults)
    if datatype == "BYTES":
        return np.array([value.encode() for value in data], object)
    return np.array(data, NUMPY[datatype])


def _check(value: Any, datatype: str, faults: Faults) -> None:
    if datatype == "BYTES":
        if not isinstance(value, str):
            faults.refuse("number-for-bytes")
    elif isinstance(value, str):
        faults.refuse("string-for-number")
    elif isinstance(value, dict):
        faults.refuse("object-for-number")
    elif datatype.startswith("INT"):
        if value != int(value):
            faults.refuse("fraction-for-integer")
        if abs(value) >= 2**31:
            faults.refuse("integer-out-of-range")


def octets_of(values: Array) -> bytes:
    if values.dtype == object:
        return b"".join(len(each).to_bytes(4, "little") + each for each in values.reshape(-1))
    return values.tobytes()


def data_of(values: Array) -> list[Any]:
    flat: list[Any] = values.reshape(-1).tolist()
    return [each.decode() for each in flat] if values.dtype == object else flat


def datatype_of(values: Array) -> str:
    return {"<f4": "FP32", "<i8": "INT64", "|O": "BYTES"}[values.dtype.str]


def dump(document: Any) -> bytes:
    return json.dumps(document).encode()
