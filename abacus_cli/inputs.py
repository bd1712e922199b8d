"""What a model is asked about: the files that paths or a table name, or the rows of a table."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from abacus_cli.columns import FILE, ROW, beside
from abacus_cli.done import Done
from abacus_cli.table_files import (
    STDIN,
    TOO_MANY,
    InputUnusable,
    is_one_of,
    is_table,
    rows_of,
    standard_input,
    table_in,
)
from abacus_client import Manifest
from abacus_client.catalogue import Column
from service.artifacts.interface import read_cell
from service.pictures.folders import files_in


class Asked(NamedTuple):
    """`shown`: what stands before its answer, first of all what it is known by. `given`: to the client."""

    shown: Mapping[str, Any]
    given: Any

    @property
    def key(self) -> str:
        return str(next(iter(self.shown.values())))


class Inputs(NamedTuple):
    """`total`: how many there are, where that is known before they are read. `key`: the column."""

    key: str
    asked: Iterable[Asked]
    total: int | None


class Remaining:
    """What is asked without what is `done`, or was named before, of which `failed_before` are errors."""

    def __init__(self, asked: Iterable[Asked], done: Done) -> None:
        """`done`: of the output, which is told of each."""
        self._asked = asked
        self._done = done
        self.skipped = self.failed_before = 0

    def __iter__(self) -> Iterator[Asked]:
        for one in self._asked:
            if one.key in self._done:
                self.skipped += 1
                self.failed_before += self._done.has_failed(one.key)
            else:
                self._done.add(one.key)
                yield one


def inputs_of(manifest: Manifest, words: Sequence[str], written: Collection[Path] = ()) -> Inputs:
    """What the words of the command line name. `written`: files of the output. Raises InputUnusable."""
    if not manifest.takes_rows:
        return _pictures(manifest, words, written)
    if len(words) != 1:
        raise InputUnusable(
            f"{manifest.name} takes the rows of one CSV or Parquet file, or of standard input (-)"
        )
    return Inputs(ROW, _rows(manifest, words[0]), rows_of(words[0]))


def _pictures(manifest: Manifest, words: Sequence[str], written: Collection[Path]) -> Inputs:
    """Files; of folders what is in them, of tables what `file` names; or paths from standard input."""
    asked = (one for word in words for one in _pictures_of(manifest, word, written))
    if STDIN in words:
        return Inputs(FILE, asked, None)
    found = list(asked)
    return Inputs(FILE, found, len(found))


def _pictures_of(manifest: Manifest, word: str, written: Collection[Path]) -> Iterator[Asked]:
    if not is_table(word):
        yield from (Asked({FILE: path}, Path(path)) for path in _named(word, written))
        return
    with table_in(word) as table:
        if FILE not in table.columns:
            raise InputUnusable(f"{word} has no column {FILE}, which names pictures")
        names = beside([name for name in table.columns if name != FILE], manifest)
        for number, record in enumerate(table.records, 1):
            if TOO_MANY in record:
                raise InputUnusable(f"{word}, row {number} has {TOO_MANY}")
            path = Path(word).parent / str(record[FILE] or "")
            yield Asked({FILE: str(path), **{names[name]: record[name] for name in names}}, path)


def _named(word: str, written: Collection[Path]) -> Iterator[str]:
    """A file as it is, there or not; of a folder what is in it and is neither hidden nor `written`.

    Raises InputUnusable.
    """
    if word == STDIN:
        yield from (line for text in standard_input() if (line := text.rstrip("\r\n")))
    elif Path(word).is_dir():
        try:
            found = files_in(Path(word))
        except OSError as error:
            raise InputUnusable(f"{error.filename} cannot be read: {error.strerror}") from error
        for path in found:
            if not is_one_of(path, [str(one) for one in written if one.name == path.name]):
                yield str(path)
    else:
        yield word


def _rows(manifest: Manifest, word: str) -> Iterator[Asked]:
    """Each row with its number. A column that is none of the model's stays beside the answer."""
    columns = manifest.input.columns
    with table_in(word) as table:
        there = {column.name: column for column in columns if column.name in table.columns}
        missing = [one.name for one in columns if one.name not in there and not one.optional]
        if missing:
            raise InputUnusable(f"{word} has no column {', '.join(missing)}, which {manifest.name} takes")
        names = beside(table.columns, manifest)
        for number, record in enumerate(table.records, 1):
            given = {name: _value(record[name], there[name]) for name in there}
            if TOO_MANY in record:
                given[TOO_MANY] = str(record[TOO_MANY])  # the service refuses it, and says why
            yield Asked({ROW: number, **{names[name]: record[name] for name in names}}, given)


def _value(value: Any, column: Column) -> Any:
    """As the service itself reads tables; what it does not take it says."""
    if isinstance(value, str):
        return read_cell(value, column.categories)
    if value is None or (column.categories and isinstance(value, bool)):
        return value  # which the service takes for the category of that name
    return str(value) if column.categories or not isinstance(value, int | float) else float(value)
