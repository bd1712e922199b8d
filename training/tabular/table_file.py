"""A CSV of anybody's, read twice: for what its columns are, then for their values.

So no more of it is in memory than a few bytes a value, however large it is.
"""

import csv
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from service.artifacts.interface import MAX_CATEGORIES, MAX_COLUMNS, MISSING, Column
from training.data import LARGEST, NUMBER, DataUnavailable, lines

SEPARATORS = ",;\t|"
LONGEST_LINE = 1_000_000  # characters
MAX_ROWS = 10_000_000
# A column of text with more values than this, most of them there but once, says who a row is, not what.
FEW_VALUES, MOSTLY = 20, 0.5
# One of which more are numbers is meant to be of numbers.
NUMBERS = 0.9
LONGEST_TEXT = 200  # of a category or a label, which a manifest holds

Told = Callable[[str], object]
Read = Callable[[int], object]  # is told how many bytes have been read


class _Seen:
    """What a column holds: numbers alone, or which texts."""

    def __init__(self) -> None:
        self.first_text: tuple[int, str] | None = None  # its line
        self.numeric = 0
        self.missing = 0
        self.count = 0
        self.texts: Counter[str] = Counter()

    @property
    def numbers(self) -> bool:
        return self.first_text is None

    def see(self, line: int, text: str, decimal_comma: bool) -> None:
        if text.lower() in MISSING:
            self.missing += 1
            return
        self.count += 1
        if len(self.texts) <= MAX_CATEGORIES:
            self.texts[text] += 1
        if _number(text, decimal_comma) is not None:
            self.numeric += 1
        elif self.first_text is None:
            self.first_text = line, text


class Table(NamedTuple):
    """`values` f32 [rows, columns], a category as its place, NaN for what is missing; `target` by row."""

    columns: tuple[Column, ...]
    values: NDArray[np.float32]
    target: Sequence[str]
    target_is_numeric: bool


def read_table(path: Path, target: str | None, tell: Told, progress: Read = lambda _: None) -> Table:
    """`target`: None where nothing is to be learned: then no column is left out.

    `tell` hears what is left out, and why. Raises DataUnavailable, naming the line and the column.
    """
    if path.exists() and not path.is_file():
        raise DataUnavailable(f"{path} is no file; it is read more than once, so save it as one")
    try:
        shape = _Shape.of(path)
        if target is not None and target not in shape.header:
            raise DataUnavailable(
                f"{path} has no column {target!r:.60}; it has {', '.join(shape.header):.200}"
            )
        seen = [_Seen() for _ in shape.header]
        at_target = None if target is None else shape.header.index(target)
        for line, row in shape.rows(path, progress):
            if at_target is not None and row[at_target].lower() in MISSING:
                continue
            for column, text in zip(seen, row, strict=True):
                column.see(line, text, shape.decimal_comma)
        return _read_values(path, shape, seen, target, tell, progress)
    except OSError as error:
        raise DataUnavailable(f"{path} cannot be read: {error.strerror}") from error


class _Shape(NamedTuple):
    """How a file is written."""

    header: tuple[str, ...]
    separator: str

    @property
    def decimal_comma(self) -> bool:
        return self.separator != ","

    @classmethod
    def of(cls, path: Path) -> "_Shape":
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


def _read_values(
    path: Path,
    shape: _Shape,
    seen: Sequence[_Seen],
    target: str | None,
    tell: Told,
    progress: Read,
) -> Table:
    kept = [
        (at, name)
        for at, (name, column) in enumerate(zip(shape.header, seen, strict=True))
        if name != target and (target is None or _is_kept(path, name, column, tell))
    ]
    if not kept:
        raise DataUnavailable(f"{path} has no column that could say anything of {target!r:.60}")
    categories = {at: sorted(seen[at].texts) for at, _ in kept if not seen[at].numbers}
    places = {at: {text: float(i) for i, text in enumerate(texts)} for at, texts in categories.items()}
    at_target = None if target is None else shape.header.index(target)
    values, targets, left_out = array("f"), list[str](), 0
    for line, row in shape.rows(path, progress):
        if at_target is not None:
            if row[at_target].lower() in MISSING:
                left_out += 1
                continue
            targets.append(row[at_target])
        for at, name in kept:
            text = row[at]
            if text.lower() in MISSING:
                value: float | None = float("nan")
            elif at in places:
                value = places[at].get(text)
                if value is None:
                    raise DataUnavailable(f"{path}, line {line}: the file was changed while it was read")
            else:
                value = _number(text, shape.decimal_comma)
            if value is None or abs(value) > LARGEST:
                raise DataUnavailable(
                    f"{path}, line {line}, column {name}: {text!r:.60} is more than a float32 can hold"
                )
            values.append(value)
    if left_out:
        tell(f"{left_out:,} rows without {target} are left out")
    table = np.frombuffer(values, np.float32).reshape(-1, len(kept))
    columns = tuple(
        _column(name, table[:, i], tuple(categories.get(at, ()))) for i, (at, name) in enumerate(kept)
    )
    return Table(columns, table, targets, at_target is not None and seen[at_target].numbers)


def _is_kept(path: Path, name: str, column: _Seen, tell: Told) -> bool:
    """Raises DataUnavailable for a column of numbers with a text among them, which would be lost."""
    why = ""
    if not name:
        why = "it has no name, as row numbers have not"
    elif not column.texts:
        why = "it is empty"
    elif len(column.texts) == 1 and not column.missing:
        why = "it holds the same in every row"
    elif column.first_text:
        many = len(column.texts) > max(FEW_VALUES, MOSTLY * column.count)
        if many or len(column.texts) > MAX_CATEGORIES:
            if column.numeric > NUMBERS * column.count:
                line, text = column.first_text
                raise DataUnavailable(
                    f"{path}, line {line}, column {name}: {text!r:.60} is no number, as the others of"
                    " the column are; correct it, or leave the cell empty"
                )
            why = "a text that nearly every row has another of says nothing"
        elif max(map(len, column.texts)) > LONGEST_TEXT:
            why = f"a category has at most {LONGEST_TEXT} characters"
    if why:
        tell(f"the column {name} is left out: {why}")
    return not why


def _column(name: str, values: NDArray[np.float32], categories: tuple[str, ...]) -> Column:
    optional = bool(np.isnan(values).any())
    if categories:
        return Column(name=name, dtype="category", categories=categories, optional=optional)
    if np.isnan(values).all():
        return Column(name=name, optional=optional)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return Column(name=name, training_minimum=low, training_maximum=high, optional=optional)


def _number(text: str, decimal_comma: bool) -> float | None:
    """None: it is none. Python's own reading also takes 1_000, other scripts' digits, inf and nan."""
    plain = text.replace(",", ".") if decimal_comma else text
    return float(plain) if NUMBER.fullmatch(plain) else None
