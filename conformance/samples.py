"""Making inputs that a model may take, from its metadata or from a request that its user gives."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from conformance.datatypes import BYTES, is_integer
from conformance.tensors import Described, Tensor, elements, flatten

# Tried for dimensions, after the first, that may be of any size.
SIZES = (1, 2, 3, 4, 8, 16, 28, 32, 64, 224)
MOST_ELEMENTS = 1 << 20
PATTERNS = ("varied", "ones", "zeros")


class SampleUnusable(Exception):
    """The file is no request in JSON."""


def candidates(inputs: Sequence[Described]) -> Iterator[tuple[Tensor, ...]]:
    """Inputs to try, one row each, the likelier first."""
    open_sizes = any(-1 in each.shape[1:] for each in inputs)
    for size in SIZES if open_sizes else SIZES[:1]:
        shapes = [
            tuple(_size(said, size if at else 1) for at, said in enumerate(each.shape)) for each in inputs
        ]
        if all(elements(shape) <= MOST_ELEMENTS for shape in shapes):
            for pattern in PATTERNS:
                yield tuple(
                    Tensor(
                        each.name, each.datatype, shape, _values(each.datatype, elements(shape), pattern)
                    )
                    for each, shape in zip(inputs, shapes, strict=True)
                )


def from_file(path: Path) -> tuple[Tensor, ...]:
    """The inputs of a request in JSON. Raises SampleUnusable."""
    try:
        return tuple(_tensor(entry) for entry in json.loads(path.read_bytes())["inputs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SampleUnusable(f"{path} is no inference request in JSON: {error}") from error


def _tensor(entry: dict[str, Any]) -> Tensor:
    data = tuple(flatten(entry["data"]))
    if entry["datatype"] == BYTES:
        data = tuple(item.encode() for item in data)
    return Tensor(entry["name"], entry["datatype"], tuple(entry["shape"]), data)


def _size(said: int, any_size: int) -> int:
    return any_size if said == -1 else said


def _values(datatype: str, count: int, pattern: str) -> tuple[Any, ...]:
    if datatype == BYTES:
        text = {"varied": b"a", "ones": b"1", "zeros": b""}[pattern]
        return (text,) * count
    if pattern != "varied":
        value: Any = int(pattern == "ones")
        if datatype == "BOOL":
            return (bool(value),) * count
        return (value if is_integer(datatype) else float(value),) * count
    if datatype == "BOOL":
        return tuple(at % 2 == 0 for at in range(count))
    if is_integer(datatype):
        return tuple((at * 37 + 11) % 128 for at in range(count))
    return tuple(((at * 37 + 11) % 128) / 128 for at in range(count))  # exact in every floating datatype
