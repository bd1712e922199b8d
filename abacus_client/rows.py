"""Rows of a table in any form that Python programs have them → JSON objects of one row each."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from abacus_client.errors import InputError

MISSING = ("NAType", "NaTType")  # pandas.NA and NaT, which are no NaN

Row = dict[str, Any]


class Frame(Protocol):
    """A table of pandas, Polars, PyArrow or another library."""

    @property
    def columns(self) -> Any: ...


class Record(Protocol):
    """A pydantic model."""

    def model_dump(self) -> dict[str, Any]: ...


class Series(Protocol):
    """A row of a pandas frame: it is read by name, whatever the order of its values."""

    def to_dict(self) -> dict[Any, Any]: ...


class NamedTuple(Protocol):
    def _asdict(self) -> dict[str, Any]: ...


class Dataclass(Protocol):
    __dataclass_fields__: Any


AnyRow = Mapping[str, Any] | Record | Series | NamedTuple | Dataclass


def is_row(value: Any) -> bool:
    """Whether it is one row, and not several."""
    if isinstance(value, Mapping):
        return not any(map(_is_column, value.values()))
    if hasattr(value, "columns"):
        return False
    if hasattr(value, "to_dict"):
        return True
    if _own_names(value):
        return not value.shape
    if hasattr(value, "__array__"):
        return _dimensions(value) < 2
    return hasattr(value, "_asdict") or hasattr(value, "model_dump") or dataclasses.is_dataclass(value)


def rows_in(value: Any) -> Iterable[Any]:
    """Of a frame, of a list of values for each column, or of what can be iterated. Raises InputError."""
    if isinstance(value, Mapping):
        return list(_zipped(value))
    if hasattr(value, "to_dicts"):
        return list(value.to_dicts())
    if hasattr(value, "to_pylist"):
        return list(value.to_pylist())
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        return list(value.to_dict("records"))
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InputError(f"These are no rows: {type(value).__name__}.")
    return value


def row_of(record: Any, names: Sequence[str]) -> Row:
    """Of what has names of its own, in whatever order, or of as many numbers as `names`.

    What is missing (NaN) is null. Raises InputError.
    """
    return {str(name): _value(str(name), value) for name, value in _fields(record, names).items()}


def _fields(record: Any, names: Sequence[str]) -> Mapping[Any, Any]:
    if isinstance(record, Mapping):
        return record
    if hasattr(record, "_asdict"):
        fields: Mapping[str, Any] = record._asdict()
        return fields
    if hasattr(record, "model_dump"):
        return record.model_dump()  # type: ignore[no-any-return]
    if hasattr(record, "to_dict"):
        return record.to_dict()  # type: ignore[no-any-return]
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return dataclasses.asdict(record)
    values = record.tolist() if hasattr(record, "tolist") else record
    if _own_names(record):
        return dict(zip(_own_names(record), values, strict=True))
    if not isinstance(values, list | tuple):
        raise InputError(f"This is no row of a table: {type(record).__name__}.")
    if len(values) != len(names):
        raise InputError(f"A row has {len(names)} values ({', '.join(names[:10])}), and not {len(values)}.")
    return dict(zip(names, values, strict=True))


def _own_names(value: Any) -> Sequence[str]:
    """Of a structured array of NumPy."""
    return getattr(getattr(value, "dtype", None), "names", None) or ()


def _value(name: str, value: Any) -> Any:
    """As JSON has it: a scalar of NumPy or PyTorch is a number, and so is a Decimal."""
    if hasattr(value, "item"):
        try:
            value = value.item()
        except (ValueError, RuntimeError) as error:  # the latter is PyTorch's
            raise InputError(f"{name}: this is not one value: {type(value).__name__}.") from error
    if type(value).__name__ in MISSING:
        return None
    if isinstance(value, Decimal):
        value = math.nan if value.is_nan() else float(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if not isinstance(value, float):
        raise InputError(f"{name}: this is no number or text: {type(value).__name__}.")
    if math.isinf(value):
        raise InputError(f"{name}: infinity cannot be sent.")
    return None if math.isnan(value) else value


def _is_column(value: Any) -> bool:
    several = hasattr(value, "__len__") and hasattr(value, "__array__")
    return isinstance(value, list | tuple) or (several and _dimensions(value) > 0)


def _dimensions(array: Any) -> int:
    """A series of Polars does not say that it has one."""
    return int(getattr(array, "ndim", 1))


def _zipped(columns: Mapping[str, Any]) -> Iterator[Row]:
    lists = {name: list(values) if _is_column(values) else values for name, values in columns.items()}
    lengths = {len(values) if isinstance(values, list) else 1 for values in lists.values()}
    if len(lengths) != 1 or not all(isinstance(values, list) for values in lists.values()):
        raise InputError("The columns are not all lists of one length.")
    for values in zip(*lists.values(), strict=True):
        yield dict(zip(lists, values, strict=True))
