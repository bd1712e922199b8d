"""Tables as CSV (RFC 4180): rows of cells under a row of names."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from service.artifacts.interface import MAX_CELL, Column, read_cell
from service.errors import FieldError, InvalidInput
from service.problems import invalid_payload

_NAMELESS = "a column has no name: leave it out, such as an index, or a comma at the end of every line"


def records(
    table: bytes, columns: Sequence[Column], most_rows: int, at_once: int
) -> Iterator[tuple[Sequence[int], list[dict[str, Any]]]]:
    """Some rows at a time, by name, and the lines that they begin on; now and then none.

    Numbers are read; what is none is left to be told of. Raises InvalidInput.
    """
    try:
        text = table.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The table is no UTF-8: byte {error.start} cannot be read.") from error
    rows = _rows(text, longest=MAX_CELL + sum(map(_longest, columns)))
    _, names = next(rows, (1, []))
    header = [name.strip() for name in names]
    _check_header(header, columns)
    by_name = {column.name: column for column in columns}
    count = 0
    while some := list(islice(rows, at_once)):
        filled = [(line, row) for line, row in some if row]
        for line, row in filled:
            if len(row) != len(header):
                raise _unreadable(f"line {line} has {len(row)} cells, not {len(header)}")
        count += len(filled)
        if count > most_rows:
            raise InvalidInput(f"The table has more than {most_rows:,} rows.")
        yield [line for line, _ in filled], [_record(header, row, by_name) for _, row in filled]


def _rows(text: str, longest: int) -> Iterator[tuple[int, list[str]]]:
    """Rows of up to `longest` characters, and the line each begins on: a quoted cell may span several."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for line in io.StringIO(text, newline=""):
            taken += len(line)
            if taken > longest:
                raise csv.Error(f"a row has {longest:,} characters at most")
            yield line

    reader = csv.reader(lines(), strict=True)
    while True:
        line, taken = reader.line_num + 1, 0
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _unreadable(f"line {line}: {error}") from error
        yield line, row


def _longest(column: Column) -> int:
    """Characters of what a row says of it, or the row of names."""
    return 2 * max(MAX_CELL // 10, len(column.name), *map(len, column.categories), 0) + len('"",')


def _unreadable(why: str) -> InvalidInput:
    return InvalidInput(f"The table cannot be read: {why}.")


def _record(header: Sequence[str], row: Sequence[str], columns: Mapping[str, Column]) -> dict[str, Any]:
    cells = (
        (name, read_cell(cell, columns[name].categories)) for name, cell in zip(header, row, strict=True)
    )
    return {name: value for name, value in cells if value is not None}


def _check_header(header: Sequence[str], columns: Sequence[Column]) -> None:
    names, there = {column.name for column in columns}, Counter(header)
    nameless = there.pop("", 0)
    wrong = [FieldError("", _NAMELESS)] if nameless else []
    wrong += [FieldError(n, "is there twice") for n, count in there.items() if count > 1]
    wrong += [FieldError(n, "is no column of this model") for n in there if n not in names]
    wrong += [FieldError(c.name, "is missing") for c in columns if c.name not in there and not c.optional]
    if wrong:
        raise invalid_payload(wrong)
