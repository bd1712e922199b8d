"""Tables that are files: CSV or Parquet, row by row."""

import csv
import io
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from service import installing

STDIN = "-"
TOO_MANY = "more fields than the header has"
PARQUET = ".parquet"
BLOCK_ROWS = 8192  # of Parquet, held at a time

_TIME = re.compile(r"(\S+) ([\d:]+)(?:\.0+)?(\.\d+)?(?:([+-]\d\d)(\d\d))?")  # as Arrow writes it

Record = dict[str, Any]


class InputUnusable(Exception):
    """What was given cannot be asked about."""


class Table(NamedTuple):
    columns: list[str]
    records: Iterator[Record]


def is_table(word: str) -> bool:
    """Whether its name says so."""
    return _ending(word) in (".csv", PARQUET)


def is_one_of(path: Path, words: Sequence[str]) -> bool:
    """Whether a word names it, by whichever path, or standard input is it."""
    for word in words:
        with suppress(OSError, ValueError):  # what is not there is told of where it is read
            if os.path.samestat(os.stat(0 if word == STDIN else word), path.stat()):
                return True
    return False


@contextmanager
def table_in(word: str) -> Iterator[Table]:
    """Its rows: values of CSV are text, those of Parquet as in JSON, or text. Raises InputUnusable."""
    if _ending(word) == PARQUET:
        file = _parquet(word)
        yield Table(_distinct(file.schema_arrow.names, word), _records(file, word))
        return
    with _opened(word) as text:
        reader = csv.DictReader(text, restkey=TOO_MANY)
        reader.fieldnames = _distinct([name.strip() for name in reader.fieldnames or ()], word)
        yield Table(reader.fieldnames, iter(reader))


def standard_input() -> TextIO:
    """Raises InputUnusable."""
    if not sys.stdin:
        raise InputUnusable("standard input is closed")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # names of files may be no UTF-8
    return sys.stdin


def rows_of(word: str) -> int | None:
    """How many; None where that is not known before they are read. Raises InputUnusable."""
    if word == STDIN or Path(word).is_fifo():  # which can be read once
        return None
    if _ending(word) == PARQUET:
        return int(_parquet(word).metadata.num_rows)
    with _opened(word) as file:
        return max(0, sum(1 for row in csv.reader(file) if row) - 1)


def _distinct(names: Iterable[str], word: str) -> list[str]:
    """Else a column would be read for another, or lost. Raises InputUnusable."""
    columns = list(names)
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise InputUnusable(f"{word} has two columns {twice[0]!r}")
    return columns


def _ending(word: str) -> str:
    return Path(word).suffix.lower()


@contextmanager
def _opened(word: str) -> Iterator[TextIO]:
    """Raises InputUnusable."""
    try:
        if word == STDIN:
            given = standard_input()
            if isinstance(given, io.TextIOWrapper):
                given.reconfigure(encoding="utf-8-sig", newline="")  # as of a file
            yield given
        else:
            with Path(word).open(encoding="utf-8-sig", newline="") as file:
                yield file
    except OSError as error:
        raise InputUnusable(f"{word} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputUnusable(f"{word} is no CSV file in UTF-8: {error}") from error


def _parquet(word: str) -> Any:
    """Raises InputUnusable."""
    if not find_spec("pyarrow"):
        raise InputUnusable(f"{word} needs pyarrow: {installing('parquet')}")
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(word)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputUnusable(f"{word} cannot be read: {error}") from error


def _records(file: Any, word: str) -> Iterator[Record]:
    """Raises InputUnusable."""
    import pyarrow

    try:
        for batch in file.iter_batches(BLOCK_ROWS):
            cells = map(_cells, batch.columns)
            for row in zip(*cells, strict=True):
                yield {n: _value(n, cell) for n, cell in zip(batch.schema.names, row, strict=True)}
    except (OSError, pyarrow.ArrowException) as error:
        raise InputUnusable(f"{word} cannot be read: {error}") from error
    except _NoOneValue as error:
        raise InputUnusable(f"{word}, column {error}, and one value a cell is read") from error


class _NoOneValue(Exception):
    """A cell that holds several, or bytes."""


def _cells(column: Any) -> list[Any]:
    """A time that `datetime` cannot hold, of nanoseconds or after the year 9999, is the text of one."""
    import pyarrow

    if column.type == pyarrow.time64("ns"):  # to_pylist cuts them off where pandas is installed
        return column.cast(pyarrow.string()).to_pylist()  # type: ignore[no-any-return]
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError):
        text = column.cast(pyarrow.string()).to_pylist()
        return [one and _iso(one) for one in text] if pyarrow.types.is_timestamp(column.type) else text


def _iso(time: str) -> str:
    """As `datetime` writes it: Arrow has a blank for the T, a fraction of 0, and no colon in an offset."""
    found = _TIME.fullmatch(time.replace("Z", "+0000"))
    if not found:
        return time
    day, clock, fraction, hours, minutes = found.groups("")
    return f"{day}T{clock}{fraction}{hours}{minutes and ':'}{minutes}"


def _value(name: str, value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)  # JSON has no infinity
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Iterable):
        raise _NoOneValue(f"{name} holds {type(value).__name__}")
    return value.isoformat() if isinstance(value, datetime) else str(value)
