"""Where answers go: CSV, JSON lines or Parquet. What is there already is not asked again."""

import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from abacus_cli.appended import Appended, OutputUnusable
from abacus_cli.columns import ERROR, flattened, is_of_command
from abacus_cli.table_files import is_one_of
from service import installing
from service.artifacts.cells import as_text, from_text

ENDS_IN_CELL = "unexpected end of data"  # as csv says it
STRANGE = "is none of this command: name another --out"

Row = Mapping[str, Any]


class Output(Protocol):
    """`done`: what has a row already, and whether that is an answer."""

    done: dict[str, bool]

    def write(self, row: Row) -> None:
        """Add the row of one answer, or of one error. Raises OutputUnusable."""

    def finish(self) -> None:
        """Complete it once all is asked. Raises OutputUnusable."""


def output_to(path: Path | None, key: str, inputs: Sequence[str] = ()) -> Output:
    """The output that the ending of the path names; without a path JSON lines on standard output.

    `key`: the column by which rows are known. `inputs`: the words of the command line. A file that has
    something else stays as it is. Raises OutputUnusable.
    """
    if path is None:
        return Printed()
    if path.suffix not in (".csv", ".jsonl", ".parquet"):
        raise OutputUnusable(f"{path} is to end in .csv, .jsonl or .parquet")
    if is_one_of(path, inputs):
        raise OutputUnusable(f"{path} is what is asked about: name another --out")
    if path.suffix == ".parquet":
        return Parquet(path, key)
    return Csv(path, key) if path.suffix == ".csv" else JsonLines(path, key)


def files_of(path: Path | None) -> list[Path]:
    """What an output to there writes."""
    return [path, _beside(path)] if path else []


class Printed:
    """One object a line, as the service answers."""

    def __init__(self) -> None:
        """Raises OutputUnusable."""
        if not sys.stdout:
            raise OutputUnusable("standard output is closed")
        self.done: dict[str, bool] = {}

    def write(self, row: Row) -> None:
        """Raises BrokenPipeError, too."""
        left = _line(row).encode("utf-8", "surrogateescape")
        try:
            while left:  # of no buffer, which would have something left to write at the end
                left = left[os.write(sys.stdout.fileno(), left) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputUnusable(f"standard output cannot be written: {error.strerror}") from error

    def finish(self) -> None:
        pass


class JsonLines:
    """JSON lines in a file."""

    def __init__(self, path: Path, key: str) -> None:
        """Raises OutputUnusable."""
        self._file = Appended(path)
        self.done: dict[str, bool] = {}
        for number, line in enumerate(self._file.lines(), 1):
            is_whole, row = self._file.ended, _row_in(line)
            if not (is_of_command(row, key) if row else not is_whole and _begins_row(line, key)):
                raise OutputUnusable(f"{path}, line {number}, {STRANGE}")
            if is_whole:
                self.done[str(row[key])] = ERROR not in row
                self._file.keep()

    def write(self, row: Row) -> None:
        self._file.append(_line(row))

    def finish(self) -> None:
        self._file.close()


class Csv:
    """Lists and objects have a column for each of their values. The first answer says which there are."""

    def __init__(self, path: Path, key: str) -> None:
        """Raises OutputUnusable."""
        self._file = Appended(path)
        self._held: list[Row] = []  # errors that came before it
        self._columns: list[str] = []
        self.done: dict[str, bool] = {}
        for row, is_whole in self._rows():
            if not self._columns and not is_of_command(row, key):
                raise OutputUnusable(f"{path} has no columns {key!r} and {ERROR!r}, so it {STRANGE}")
            if not is_whole:
                return
            if not self._columns:
                self._columns = row
            elif row:
                named = dict(zip(self._columns, row, strict=False))
                self.done[named.get(key, "")] = not named.get(ERROR)
            self._file.keep()

    def write(self, row: Row) -> None:
        flat = dict(flattened(row))
        if not self._columns and ERROR in flat:
            self._held.append(flat)
            return
        if not self._columns:
            self._begin([*flat, ERROR])
        self._put(flat)

    def finish(self) -> None:
        if self._held:
            self._begin(list(self._held[0]))
        self._file.close()

    def _rows(self) -> Iterator[tuple[list[str], bool]]:
        """Each, and whether it has an end. Raises OutputUnusable."""
        try:
            for row in csv.reader(self._file.lines(), strict=True):
                yield [from_text(cell) for cell in row], self._file.ended
        except csv.Error as error:
            if not (self._columns and str(error) == ENDS_IN_CELL):
                raise OutputUnusable(f"{self._file.path} cannot be read: {error}") from error

    def _begin(self, columns: list[str]) -> None:
        self._columns = columns
        self._put({column: column for column in columns})
        for row in self._held:
            self._put(row)
        self._held = []

    def _put(self, row: Row) -> None:
        if strange := [name for name in row if name not in self._columns]:
            raise OutputUnusable(
                f"{self._file.path} lacks {', '.join(strange[:5])}, which an answer has: name another --out"
            )
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\n").writerow(as_text(row.get(name)) for name in self._columns)
        self._file.append(line.getvalue())


class Parquet:
    """Written when all is asked; until then answers are kept in JSON lines beside it."""

    def __init__(self, path: Path, key: str) -> None:
        if not find_spec("pyarrow"):
            raise OutputUnusable(f"{path.name} needs pyarrow: {installing('parquet')}")
        self._path = path
        self._beside = _beside(path)
        self._read(key)  # before there is a file beside it
        self._lines = JsonLines(self._beside, key)
        self._before = self._read(key)  # of whoever had that until now
        before = {str(row[key]): row.get(ERROR) is None for row in self._before}
        self.done = before | self._lines.done

    def write(self, row: Row) -> None:
        self._lines.write(dict(flattened(row)))

    def finish(self) -> None:
        """Whole or not at all. Raises OutputUnusable."""
        import pyarrow
        from pyarrow import parquet

        staged = self._path.with_name(f".{self._path.name}")
        try:
            with self._beside.open(encoding="utf-8", errors="surrogateescape") as lines:
                rows = [*self._before, *map(json.loads, lines)]
            columns = dict.fromkeys(name for row in rows for name in row)
            table = pyarrow.table({name: _alike([row.get(name) for row in rows]) for name in columns})
            parquet.write_table(table, staged)
            os.replace(staged, self._path)
        except (OSError, UnicodeError, pyarrow.ArrowException) as error:
            raise OutputUnusable(
                f"{self._path} cannot be written: {error}; {self._beside} has all"
            ) from error
        self._lines.finish()
        self._beside.unlink()

    def _read(self, key: str) -> list[dict[str, Any]]:
        import pyarrow
        from pyarrow import parquet

        if not self._path.exists():
            return []
        try:
            table = parquet.read_table(self._path)
        except (OSError, pyarrow.ArrowException) as error:
            raise OutputUnusable(f"{self._path} cannot be read: {error}") from error
        if not is_of_command(table.column_names, key):
            raise OutputUnusable(f"{self._path} {STRANGE}")
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".jsonl")


def _alike(values: list[Any]) -> list[Any]:
    """Values of one type, as Parquet wants of a column: all become text where some are."""
    types = {type(value) for value in values if value is not None}
    if len(types) < 2 or types == {int, float}:
        return values
    return [value if value is None else str(value) for value in values]


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _row_in(line: str) -> Any:
    """The object in a line; None where it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _begins_row(line: str, key: str) -> bool:
    beginning = f'{{"{key}": '
    return line.startswith(beginning) or beginning.startswith(line)
