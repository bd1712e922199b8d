"""How a CSV is written, and its rows: what separates cells is found in its first line."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from service.artifacts.interface import MAX_COLUMNS
from training.data import DataUnavailable, lines

SEPARATORS = ",;\t|"
LONGEST_LINE = 1_000_000  # characters
MAX_ROWS = 10_000_000
LONGEST_TEXT = 200  # of a name, a category or a label, which a manifest holds

Read = Callable[[int], object]  # is told how many characters have been read


class Shape(NamedTuple):
    """How a file is written."""

    header: tuple[str, ...]
    separator: str

    @property
    def decimal_comma(self) -> bool:
        return self.separator != ","

    @classmethod
    def of(cls, path: Path) -> "Shape":
        """The separator that makes most columns of the first line is the file's."""
        problem = f"{path} is empty: its first line has to name the columns"
        headers = dict[str, list[str]]()
        for separator in SEPARATORS:
            try:
                _, headers[separator] = next(_records(path, separator), (1, []))
            except DataUnavailable as error:  # of quotes that close where another separator stands
                problem = str(error)
        if not any(headers.values()):
            raise DataUnavailable(problem)
        separator = max(headers, key=lambda one: len(headers[one]))
        _check_header(path, headers[separator])
        return cls(tuple(headers[separator]), separator)

    def rows(self, path: Path, progress: Read) -> Iterator[tuple[int, list[str]]]:
        """The rows, each with the number of its line; cells without the blanks around them."""
        for count, (line, row) in enumerate(_records(path, self.separator, progress)):
            if not count:
                continue
            if count > MAX_ROWS:
                raise DataUnavailable(f"{path} has more than {MAX_ROWS:,} rows")
            if len(row) != len(self.header):
                raise DataUnavailable(
                    f"{path}, line {line}: {len(row)} cells for {len(self.header)} columns"
                )
            yield line, row


def _records(
    path: Path, separator: str, progress: Read = lambda _: None
) -> Iterator[tuple[int, list[str]]]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(_lines(path, file, progress), delimiter=separator, strict=True)
        try:
            for row in reader:
                if len(row) > 1 or (row and row[0].strip()):
                    yield reader.line_num, [text.strip() for text in row]
        except csv.Error as error:
            raise DataUnavailable(f"{path}, line {reader.line_num}: not a CSV: {error}") from error


def _lines(path: Path, file: TextIO, progress: Read) -> Iterator[str]:
    for line in lines(path, file, LONGEST_LINE):
        progress(len(line))
        yield line


def _check_header(path: Path, header: Sequence[str]) -> None:
    twice = [name for name, times in Counter(header).items() if times > 1 and name]
    wrong = [name for name in header if not name.isprintable() or len(name) > LONGEST_TEXT]
    if twice or wrong:
        problem = "is there twice" if twice else "has a name that cannot be sent"
        raise DataUnavailable(f"{path}, line 1: the column {(twice or wrong)[0]!r:.60} {problem}")
    if len(header) > MAX_COLUMNS:
        raise DataUnavailable(f"{path} has {len(header):,} columns; at most {MAX_COLUMNS:,} are read")
