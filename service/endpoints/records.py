"""Tables as CSV (RFC 4180): rows of cells under a row of names."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from service.artifacts.interface import MISSING, Column
from service.errors import SHOWN_ERRORS, FieldError, InvalidInput
from service.problems import invalid_payload

MAX_CELL = 1_000  # characters


def records(
    table: bytes, columns: Sequence[Column], most_rows: int, at_once: int
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Some rows at a time, by name, with the number of the line that the first of them is on.

    Numbers are read; what is none is left to be told of. Raises InvalidInput.
    """
    try:
        text = table.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The table is no UTF-8: byte {error.start} cannot be read.") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, columns)
        by_name = {column.name: column for column in columns}
        count = 0
        while rows := list(islice((row for row in reader if row), at_once)):
            for row in rows:
                if len(row) != len(header):
                    raise InvalidInput(f"A row has {len(row)} cells, and the row of names {len(header)}.")
            yield (
                count + 2,
                [
                    {
                        n: v
                        for n, cell in zip(header, row, strict=True)
                        if (v := _cell(cell, by_name[n])) is not None
                    }
                    for row in rows
                ],
            )
            count += len(rows)
            if count > most_rows:
                raise InvalidInput(f"The table has more than {most_rows:,} rows.")
    except csv.Error as error:
        raise InvalidInput(f"The table cannot be read: line {reader.line_num}: {error}.") from error


def _record(header: Sequence[str], row: Sequence[str], columns: Mapping[str, Column]) -> dict[str, Any]:
    cells = ((name, _cell(cell, columns[name])) for name, cell in zip(header, row, strict=True))
    return {name: value for name, value in cells if value is not None}


def _check_header(header: Sequence[str], columns: Sequence[Column]) -> None:
    names = [column.name for column in columns]
    wrong = [FieldError(n, "is there twice") for n in dict.fromkeys(header) if header.count(n) > 1]
    wrong += [FieldError(n, "is no column of this model") for n in header if n not in names]
    wrong += [FieldError(c.name, "is missing") for c in columns if c.name not in header and not c.optional]
    if wrong:
        raise invalid_payload(wrong[:SHOWN_ERRORS], len(wrong[SHOWN_ERRORS:]))


def _cell(cell: str, column: Column) -> Any:
    """None where nothing is said."""
    text = cell.strip()
    if text.lower() in MISSING and text not in column.categories:
        return None
    if column.categories or len(text) > MAX_CELL:
        return text
    try:
        return float(text.replace("_", "x"))  # Python alone reads 1_000
    except ValueError:
        return text
