"""Tensors → rows of a table: a tensor for each column (MLServer's `pd`), or one matrix of all (`np`)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.artifacts.interface import Column
from service.endpoints.columns import Columns
from service.endpoints.table import TableEndpoint
from service.errors import FieldError, InvalidRequest
from service.problems import Findings, invalid_payload, quoted, some_of
from service.protocol.requests import Given
from service.protocol.tensors import BOOL, Array, Tensor, wrong
from service.serving.job import Rows
from service.serving.steps import Steps


def reading(inputs: list[Given], endpoint: TableEndpoint) -> Steps[Rows]:
    """Raises InvalidRequest or InvalidInput."""
    lists = yield from _lists(inputs, endpoint.columns)
    values = yield from endpoint.columns.reading_lists(lists)
    return values.astype(np.float32)


def _lists(inputs: list[Given], columns: Columns) -> Steps[dict[str, list[Any]]]:
    """What there is of each column; None is what is missing."""
    if _is_matrix(inputs, columns):
        matrix = yield from inputs[0].reading()
        return (yield from _of_matrix(matrix, columns.columns))
    lists = {}
    named = dict(zip(columns.names, columns.columns, strict=True))
    for given in inputs:
        column = named.get(given.name)
        if column is None:
            raise _unknown(given.name, columns)
        if given.shape[1:] not in ((), (1,)):
            raise wrong(given.name, f"a column has the shape [N] or [N, 1], not {list(given.shape)}")
        lists[given.name] = _of_column((yield from given.reading()), column)
        yield
    return lists


def _is_matrix(inputs: Sequence[Given], columns: Columns) -> bool:
    """It has any name, but that of a column where it is one column alone."""
    given, *others = inputs
    width = len(columns.names)
    return not others and given.shape[1:] == (width,) and (width > 1 or given.name not in columns.names)


def _of_column(tensor: Tensor, column: Column) -> list[Any]:
    """Values as JSON has them, which are then held to what the column may have. Raises InvalidRequest."""
    if isinstance(tensor.values, list):
        try:
            # An empty string is none of the categories.
            return [string.decode() if string else None for string in tensor.values]
        except UnicodeDecodeError:
            raise wrong(tensor.name, "has a string that is no UTF-8") from None
    if tensor.datatype == BOOL and not column.categories:
        raise wrong(tensor.name, "is BOOL; the column has numbers: send FP32")
    return _values(tensor.values.reshape(-1), column.optional)


def _of_matrix(matrix: Tensor, columns: Sequence[Column]) -> Steps[dict[str, list[Any]]]:
    """Its columns in order: a category is its place among the categories. Raises InvalidRequest."""
    if isinstance(matrix.values, list) or matrix.datatype == BOOL:
        raise wrong(matrix.name, f"is {matrix.datatype}; a matrix of all columns has numbers: send FP32")
    lists, found = {}, Findings()
    for at, column in enumerate(columns):
        values = _values(matrix.values[:, at], column.optional)
        lists[column.name] = _categories(values, column, found) if column.categories else values
        yield
    if found.first:
        raise invalid_payload(found.first, found.more)
    return lists


def _values(values: Array, optional: bool) -> list[Any]:
    listed: list[Any] = values.tolist()
    if optional and values.dtype.kind == "f" and np.isnan(values).any():
        return [None if value != value else value for value in listed]
    return listed


def _categories(places: Sequence[Any], column: Column, found: Findings) -> list[str | None]:
    by_place: dict[Any, str | None] = dict(enumerate(column.categories))
    if column.optional:
        by_place[None] = None
    last = len(column.categories) - 1
    message = f"is no place of a category: a whole number from 0 to {last}"
    found.add(
        [FieldError(f"{column.name}.{row}", message) for row, p in enumerate(places) if p not in by_place]
    )
    return [by_place.get(place) for place in places]


def _unknown(name: str, columns: Columns) -> InvalidRequest:
    told = some_of(columns.names, 10, quoted)
    return InvalidRequest(
        f"There is no input {quoted(name)}; the model takes a tensor for each of the columns {told},"
        f" or one of the shape [N, {len(columns.names)}] of all."
    )
