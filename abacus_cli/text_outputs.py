"""Outputs that are text: what is there already is gone on with behind its last whole row."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile, gettempdir
from typing import Any

from abacus_cli.appended import Appended, OutputUnusable
from abacus_cli.columns import ERROR, Row, flattened, is_of_command
from abacus_cli.done import Done
from service.artifacts.cells import as_text, from_text

ENDS_IN_CELL = "unexpected end of data"  # as csv says it
STRANGE = "is none of this command: name another --out"
_SURROGATE = re.compile("[\ud800-\udfff]")
HELD_BYTES = 1_000_000  # what is more is held in a temporary file


class JsonLines:
    """JSON lines in a file."""

    def __init__(self, path: Path, key: str) -> None:
        """Raises OutputUnusable."""
        self._file = Appended(path)
        self.done = Done()
        for number, line in enumerate(self._file.lines(), 1):
            is_whole, row = self._file.ended, _row_in(line)
            if not (is_of_command(row, key) if row else not is_whole and _begins_row(line, key)):
                raise OutputUnusable(f"{path}, line {number}, {STRANGE}")
            if is_whole:
                self.done.add(str(row[key]), failed=ERROR in row)
                self._file.keep()

    def write(self, row: Row) -> None:
        self._file.append(line_of(row))

    def finish(self) -> None:
        self._file.close()


class Csv:
    """Lists and objects have a column for each of their values. The first answer says which there are."""

    def __init__(self, path: Path, key: str) -> None:
        """Raises OutputUnusable."""
        self._file = Appended(path)
        self._held = SpooledTemporaryFile(HELD_BYTES, "w+")  # noqa: SIM115 - errors that came before it
        self._columns: list[str] = []
        self.done = Done()
        for row, is_whole in self._rows():
            if not self._columns and not is_of_command(row, key):
                raise OutputUnusable(f"{path} has no columns {key!r} and {ERROR!r}, so it {STRANGE}")
            if not is_whole:
                return
            if not self._columns:
                self._columns = row
            elif row:
                named = dict(zip(self._columns, row, strict=False))
                self.done.add(named.get(key, ""), failed=bool(named.get(ERROR)))
            self._file.keep()

    def write(self, row: Row) -> None:
        flat = dict(flattened(row))
        if not self._columns and ERROR in flat:
            self._hold(flat)
            return
        if not self._columns:
            self._begin([*flat, ERROR])
        self._put(flat)

    def finish(self) -> None:
        if not self._columns and self._held.tell():
            self._held.seek(0)
            self._begin(list(json.loads(self._held.readline())))
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
        self._held.seek(0)
        for line in self._held:
            self._put(json.loads(line))
        self._held.close()

    def _hold(self, row: Row) -> None:
        try:
            self._held.write(json.dumps(row) + "\n")
        except OSError as error:
            raise OutputUnusable(f"{gettempdir()} cannot be written: {error.strerror}") from error

    def _put(self, row: Row) -> None:
        if strange := [name for name in row if name not in self._columns]:
            raise OutputUnusable(
                f"{self._file.path} lacks {', '.join(strange[:5])}, which an answer has: name another --out"
            )
        line = io.StringIO(newline="")
        csv.writer(line).writerow(as_text(row.get(name)) for name in self._columns)
        # With another end, a carriage return in a cell would have no quotes.
        self._file.append(line.getvalue().removesuffix("\r\n") + "\n")


def line_of(row: Row) -> str:
    """JSON in UTF-8, whatever bytes a path has: those that are none are `\\udc80` to `\\udcff`."""
    line = json.dumps(row, ensure_ascii=False)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", line) + "\n"


def _row_in(line: str) -> Any:
    """The object in a line; None where it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _begins_row(line: str, key: str) -> bool:
    beginning = f'{{"{key}": '
    return line.startswith(beginning) or beginning.startswith(line)
