"""The datatypes of the protocol and their octets: little-endian, without padding."""

import struct
from collections.abc import Sequence
from typing import Any

FORMATS = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
BFLOAT = "BF16"
BYTES = "BYTES"
DATATYPES = frozenset(FORMATS) | {BFLOAT, BYTES}
JSON_CANNOT = frozenset({"FP16", BFLOAT})


class EndsEarly(Exception):
    """There are fewer octets than the elements need."""


def is_integer(datatype: str) -> bool:
    return "INT" in datatype


def size_of(datatype: str) -> int:
    """Octets of one element of a datatype of a fixed size."""
    return 2 if datatype == BFLOAT else struct.calcsize(f"<{FORMATS[datatype]}")


def pack(datatype: str, values: Sequence[Any]) -> bytes:
    """The elements as they stand behind the JSON."""
    if datatype == BYTES:
        return b"".join(struct.pack("<I", len(value)) + value for value in values)
    if datatype == BFLOAT:  # the upper half of an FP32
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{FORMATS[datatype]}", *values)


def unpack(datatype: str, octets: bytes, count: int) -> tuple[list[Any], int]:
    """So many elements from the beginning of `octets`, and how many octets they took.

    Raises EndsEarly.
    """
    if datatype == BYTES:
        return _unpack_bytes(octets, count)
    size = size_of(datatype) * count
    if len(octets) < size:
        raise EndsEarly
    if datatype == BFLOAT:
        halves = (octets[at : at + 2] for at in range(0, size, 2))
        return [struct.unpack("<f", b"\0\0" + half)[0] for half in halves], size
    return list(struct.unpack(f"<{count}{FORMATS[datatype]}", octets[:size])), size


def _unpack_bytes(octets: bytes, count: int) -> tuple[list[Any], int]:
    values: list[Any] = []
    at = 0
    for _ in range(count):
        if len(octets) < at + 4:
            raise EndsEarly
        (length,) = struct.unpack_from("<I", octets, at)
        at += 4 + length
        if len(octets) < at:
            raise EndsEarly
        values.append(octets[at - length : at])
    return values, at
