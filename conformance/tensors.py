"""Tensors as requests and answers hold them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from conformance.datatypes import BYTES, DATATYPES, pack


@dataclass(frozen=True)
class Described:
    """A tensor as the metadata of a model describes it; -1 is a dimension of any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def fits(self, shape: Sequence[int]) -> bool:
        return len(shape) == len(self.shape) and all(
            said in (-1, size) for said, size in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True)
class Tensor:
    """Elements in row-major order, those of BYTES as `bytes`."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: tuple[Any, ...]

    @property
    def octets(self) -> bytes:
        return pack(self.datatype, self.values)

    @property
    def data(self) -> list[Any]:
        """Flat, as JSON has it."""
        if self.datatype == BYTES:
            return [value.decode() for value in self.values]
        return list(self.values)

    @property
    def nested(self) -> Any:
        """Nested to the shape, as JSON has it."""
        return _nest(self.data, self.shape)

    def entry(self) -> dict[str, Any]:
        """An input with its data in the JSON."""
        return {"name": self.name, "shape": [*self.shape], "datatype": self.datatype, "data": self.data}

    def binary_entry(self) -> dict[str, Any]:
        """An input with its data behind the JSON."""
        size = {"binary_data_size": len(self.octets)}
        return {"name": self.name, "shape": [*self.shape], "datatype": self.datatype, "parameters": size}

    def twice(self) -> "Tensor":
        """The rows, and all of them once more."""
        return replace(self, shape=(2 * self.shape[0], *self.shape[1:]), values=self.values * 2)


def elements(shape: Sequence[int]) -> int:
    return math.prod(shape)


def wider(tensor: Tensor, at: int) -> Tensor:
    """With one more along a dimension."""
    shape = (*tensor.shape[:at], tensor.shape[at] + 1, *tensor.shape[at + 1 :])
    more = (len(tensor.values) // tensor.shape[at]) * (tensor.shape[at] + 1) - len(tensor.values)
    return replace(tensor, shape=shape, values=(*tensor.values, *tensor.values[:1] * more))


def flatten(data: Any) -> Iterator[Any]:
    """The elements of nested lists in row-major order."""
    if isinstance(data, list):
        for item in data:
            yield from flatten(item)
    else:
        yield data


def _nest(flat: list[Any], shape: Sequence[int]) -> Any:
    if len(shape) < 2:
        return flat if shape else flat[0]
    step = elements(shape[1:])
    return [_nest(flat[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]


def described(found: Any) -> tuple[Described, ...]:
    """The tensors of a model's metadata that can be understood."""
    return tuple(
        Described(str(each["name"]), each["datatype"], tuple(each["shape"]))
        for each in (found if isinstance(found, list) else [])
        if isinstance(each, dict) and not tensor_problem(each)
    )


def tensor_problem(entry: Any) -> str | None:
    """What is wrong with a $metadata_tensor."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return "a tensor has no string `name`"
    if entry.get("datatype") not in DATATYPES:
        return f"the datatype of {entry['name']} is {entry.get('datatype')!r}"
    shape = entry.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= -1 for size in shape):
        return f"the shape of {entry['name']} is {shape!r}"
    return None
