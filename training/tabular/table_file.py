"""A CSV of anybody's, read twice: for what its columns are, then for their values.

So no more of it is in memory than a few bytes a value, however large it is.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.artifacts.interface import MAX_CATEGORIES, MISSING, Column
from training.data import LARGEST, NUMBER, DataUnavailable
from training.tabular.table_rows import LONGEST_TEXT, Read, Shape

# A column of text with more values than this, most of them there but once, says who a row is, not what.
FEW_VALUES, MOSTLY = 20, 0.5
# One of which more are numbers is meant to be of numbers.
NUMBERS = 0.9

Told = Callable[[str], object]


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


def read_table(
    path: Path,
    target: str | None,
    tell: Told,
    progress: Read = lambda _: None,
    only: Collection[str] = (),
) -> Table:
    """`target`: None where nothing is to be learned: then `only` are kept, or all columns that have a name.

    `tell` hears what is left out, and why. Raises DataUnavailable, naming the line and the column.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataUnavailable(f"{path} is no file; it is read more than once, so save it as one")
        shape = Shape.of(path)
        for name in (*only, *([target] if target is not None else [])):
            if name not in shape.header:
                there = ", ".join(shape.header)
                raise DataUnavailable(f"{path} has no column {name!r:.60}; it has {there:.200}")
        seen = {at: _Seen() for at, name in enumerate(shape.header) if not only or name in only}
        at_target = None if target is None else shape.header.index(target)
        for line, row in shape.rows(path, progress):
            if at_target is not None and row[at_target].lower() in MISSING:
                continue
            for at, column in seen.items():
                column.see(line, row[at], shape.decimal_comma)
        return _read_values(path, shape, seen, target, tell, progress)
    except OSError as error:
        raise DataUnavailable(f"{path} cannot be read: {error.strerror}") from error


def _read_values(
    path: Path,
    shape: Shape,
    seen: Mapping[int, _Seen],
    target: str | None,
    tell: Told,
    progress: Read,
) -> Table:
    kept = [
        (at, shape.header[at])
        for at, column in seen.items()
        if _is_kept(path, shape.header[at], column, target, tell)
    ]
    if not kept:
        what = "has a name" if target is None else f"could say anything of {target!r:.60}"
        raise DataUnavailable(f"{path} has no column that {what}")
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


def _is_kept(path: Path, name: str, column: _Seen, target: str | None, tell: Told) -> bool:
    """Raises DataUnavailable for one that is needed, and of which something would be lost."""
    if target is None:
        if name:
            _check_texts(path, name, column)
        return bool(name)
    if name == target:
        return False
    why = _useless(path, name, column)
    if why:
        tell(f"the column {name} is left out: {why}")
    return not why


def _check_texts(path: Path, name: str, column: _Seen) -> None:
    """Raises DataUnavailable for texts that are no categories."""
    if not column.first_text:
        return
    line, text = column.first_text
    if len(column.texts) > MAX_CATEGORIES:
        raise DataUnavailable(
            f"{path}, line {line}, column {name}: {text!r:.60} is no number, and there are more than"
            f" {MAX_CATEGORIES:,} different texts"
        )
    if max(map(len, column.texts)) > LONGEST_TEXT:
        raise DataUnavailable(
            f"{path}, column {name}: a text has more than {LONGEST_TEXT} characters, which is no category"
        )


def _useless(path: Path, name: str, column: _Seen) -> str:
    """Why nothing is learned from a column, if so.

    Raises DataUnavailable for one of numbers with a text among them, which would be lost.
    """
    if not name:
        return "it has no name, as row numbers have not"
    if not column.texts:
        return "it is empty"
    if len(column.texts) == 1 and not column.missing:
        return "it holds the same in every row"
    if column.first_text:
        many = len(column.texts) > max(FEW_VALUES, MOSTLY * column.count)
        if many or len(column.texts) > MAX_CATEGORIES:
            if column.numeric > NUMBERS * column.count:
                line, text = column.first_text
                raise DataUnavailable(
                    f"{path}, line {line}, column {name}: {text!r:.60} is no number, as the others of"
                    " the column are; correct it, or leave the cell empty"
                )
            return "a text that nearly every row has another of says nothing"
        if max(map(len, column.texts)) > LONGEST_TEXT:
            return f"a category has at most {LONGEST_TEXT} characters"
    return ""


def _column(name: str, values: NDArray[np.float32], categories: tuple[str, ...]) -> Column:
    optional = bool(np.isnan(values).any())
    if categories:
        return Column(name=name, dtype="category", categories=categories, optional=optional)
    return Column(name=name, optional=optional)


def _number(text: str, decimal_comma: bool) -> float | None:
    """None: it is none. Python's own reading also takes 1_000, other scripts' digits, inf and nan."""
    plain = text.replace(",", ".") if decimal_comma else text
    return float(plain) if NUMBER.fullmatch(plain) else None
