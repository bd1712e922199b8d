"""The columns of a table's rows: which values each may have, and what a request says → numbers.

A row reaches the archive as float32: numbers as they are, a category as its place among the categories, and
what is missing, where it may be, as NaN.
"""

import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, NotRequired, Required

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    with_config,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from service.artifacts.interface import Column
from service.endpoints.documents import BYTES_A_VALUE, PIECE, Form, Size, parsed, read, reading, validating
from service.endpoints.records import records
from service.errors import FieldError, InvalidInput
from service.problems import Findings, found_in, invalid_payload, quoted, some_of
from service.serving.steps import Steps

MAX_ROWS = 10_000
FLOAT32_MAX = 3.4028234e38
MAX_NAMED = 10  # of the categories, in an error

_BLANKS = b" \t\r\n"
_HEAD_BYTES = 64 * 1024  # that tell whether lists or values are named

Values = NDArray[np.float64]


class Columns:
    """The columns of one model, and how requests are read: `values_in`, `reading`, `reading_table`."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in columns)
        self._codes = [
            {category: float(place) for place, category in enumerate(column.categories)}
            for column in columns
        ]
        self._has_categories = any(self._codes)
        values = {column.name: _value_of(column) for column in columns}
        needed = {column.name: not column.optional for column in columns}
        row = _object({n: _key(v, needed[n]) for n, v in values.items()})
        lists = _object({n: _key(list[v], needed[n]) for n, v in values.items()})  # type: ignore[valid-type]
        categories = [category for column in columns for category in column.categories]
        a_value = max([BYTES_A_VALUE, *map(_bytes_of, categories)])
        a_pair = a_value + max(map(_bytes_of, self.names))
        within = _within(columns)
        self._row = Form(TypeAdapter(row), self.names, "row", MAX_ROWS, a_value, within)
        self._lists = Form(TypeAdapter(lists), self.names, "columns", MAX_ROWS, a_value, within)
        self._rows = Form(TypeAdapter(list[row]), self.names, "rows", MAX_ROWS, a_pair, within)  # type: ignore[valid-type]

    def schema(self) -> dict[str, Any]:
        """JSON Schema of what `values_in` reads: a row, a list for each column, or a list of rows."""
        row, lists = self._row.adapter.json_schema(), self._lists.adapter.json_schema()
        del row["title"], lists["title"]  # generators make one class of what has one title
        for items in lists["properties"].values():
            items |= {"minItems": 1, "maxItems": MAX_ROWS}
        return {"anyOf": [row, lists, {"type": "array", "minItems": 1, "maxItems": MAX_ROWS, "items": row}]}

    def most_rows(self, document: bytes) -> int:
        """The most rows of a document, by its brackets and commas: optional columns may be missing."""
        if b"[" not in document:
            return 1
        end = self._lists.max_values * self._rows.bytes_a_value
        if document.lstrip(_BLANKS).startswith(b"["):
            rows = document.count(b"{", 0, end)
        elif lists := min(document.count(b"[", 0, end), len(self.columns)):
            rows = math.ceil((document.count(b",", 0, end) + 1) / lists)
        else:
            rows = 1
        return max(1, min(rows, MAX_ROWS))

    def values_in(self, document: bytes) -> tuple[Values, bool]:
        """The values of a small JSON document, [rows, columns], and whether several rows were asked for.

        NaN stands for what is missing. Raises InvalidInput or PayloadTooLarge.
        """
        form = self._form_of(document)
        return self._gathered(form, read(form, document)), form.shape != "row"

    def reading(self, document: bytes) -> Steps[tuple[Values, bool]]:
        """`values_in`, of any document, in steps."""
        form = self._form_of(document)
        pieces = yield from reading(form, document)
        values = []
        for piece in pieces:
            values.append(self._gathered(form, [piece]))
            yield
        return np.concatenate(values), form.shape != "row"

    def reading_lists(self, lists: dict[str, list[Any]]) -> Steps[Values]:
        """The values of a list for each column, in which None is what is missing. Raises InvalidInput."""
        values = []
        for piece in (yield from validating(self._lists, lists)):
            values.append(self._of_lists(piece))
            yield
        return np.concatenate(values)

    def reading_table(self, table: bytes) -> Steps[Values]:
        """The values of a CSV document (RFC 4180, in UTF-8, with a row of names). Raises InvalidInput."""
        values: list[Values] = []
        wrong = Findings()
        for lines, rows in records(table, self.columns, MAX_ROWS, max(1, PIECE // len(self.columns))):
            yield
            if not rows:
                continue
            try:
                values.append(self._of_rows(self._rows.adapter.validate_python(rows)))
            except ValidationError as error:
                wrong.add([_of_line(e, lines) for e in found_in(error)])
        if wrong.first:
            raise invalid_payload(wrong.first, wrong.more)
        if not values:
            raise InvalidInput("The table has no row below its names.")
        return np.concatenate(values)

    def _gathered(self, form: Form, pieces: Sequence[Any]) -> Values:
        if form.shape == "row":
            return self._of_rows(pieces)
        of_piece = self._of_rows if form.shape == "rows" else self._of_lists
        return np.concatenate([of_piece(piece) for piece in pieces])

    def _form_of(self, document: bytes) -> Form:
        if b"[" not in document:
            return self._row
        if document.lstrip(_BLANKS).startswith(b"["):
            return self._rows
        # It may stand in a name or a category.
        try:
            value = parsed(document[:_HEAD_BYTES], partial=True)
        except InvalidInput:
            return self._lists  # which is told what is wrong
        known = [value[name] for name in self.names if name in value] if isinstance(value, dict) else []
        return self._lists if any(isinstance(items, list) for items in known) else self._row

    def _of_rows(self, rows: Sequence[dict[str, Any]]) -> Values:
        plain: list[list[Any]] = [[row.get(name) for name in self.names] for row in rows]
        if self._has_categories:
            for row in plain:
                for at, codes in enumerate(self._codes):
                    if codes and row[at] is not None:
                        row[at] = codes[row[at]]
        return np.array(plain, dtype=np.float64)  # None becomes NaN

    def _of_lists(self, lists: dict[str, list[Any]]) -> Values:
        count = max(len(items) for items in lists.values())
        values = np.full((count, len(self.columns)), np.nan)
        for at, (name, codes) in enumerate(zip(self.names, self._codes, strict=True)):
            if items := lists.get(name):
                values[:, at] = [None if i is None else codes[i] for i in items] if codes else items
        return values


def _value_of(column: Column) -> Any:
    if column.categories:
        known, booleans = frozenset(column.categories), _booleans(column.categories)
        told = some_of(column.categories, MAX_NAMED, quoted)

        def check(value: Any) -> Any:
            if isinstance(value, bool):
                value = booleans.get(value)
            elif isinstance(value, int):
                value = str(value)
            if not isinstance(value, str) or value not in known:
                raise PydanticCustomError("category", f"Input should be one of {told}")
            return value

        schema = WithJsonSchema({"type": "string", "enum": list(column.categories)})
        value: Any = Annotated[str, BeforeValidator(check), schema]
    else:
        low = -FLOAT32_MAX if column.minimum is None else max(column.minimum, -FLOAT32_MAX)
        high = FLOAT32_MAX if column.maximum is None else min(column.maximum, FLOAT32_MAX)
        value = Annotated[
            float,
            Field(ge=low, le=high, allow_inf_nan=False, strict=True, description=column.units or None),
        ]
    return value | None if column.optional else value


def _booleans(categories: Sequence[str]) -> dict[bool, str]:
    """The category that is meant by true, and by false, however it is written where it is one alone."""
    named = {value: [c for c in categories if c.lower() == str(value).lower()] for value in (True, False)}
    return {value: names[0] for value, names in named.items() if len(names) == 1}


def _bytes_of(text: str) -> int:
    """In JSON, quoted and escaped, with what stands around it."""
    return len(json.dumps(text)) + 8


def _within(columns: Sequence[Column]) -> Size:
    """The most commas, colons and brackets that the names and categories of one row have."""
    texts = [(column.name, *column.categories) for column in columns]
    return Size(
        *(sum(max(sum(map(t.count, marks)) for t in of) for of in texts) for marks in (",", ":", "[{"))
    )


def _key(value: Any, needed: bool) -> Any:
    return Required[value] if needed else NotRequired[value]


def _object(fields: dict[str, Any]) -> Any:
    return with_config(ConfigDict(extra="forbid"))(TypedDict("Row", fields))  # type: ignore[operator]


def _of_line(error: FieldError, lines: Sequence[int]) -> FieldError:
    place, _, name = error.field.partition(".")
    return FieldError(f"line {lines[int(place)]}: {name}", error.message)
