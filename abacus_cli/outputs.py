"""Where answers go: CSV, JSON lines or Parquet. What is there already is not asked again."""

import csv
import fcntl
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from service import installing

ERROR = "error"
TAIL = 1 << 20

Row = Mapping[str, Any]


class OutputUnusable(Exception):
    """Answers cannot go there."""


class Output(Protocol):
    """`done`: what has a row already."""

    done: set[str]

    def write(self, row: Row) -> None:
        """Of one answer, or with an error. Raises OutputUnusable."""

    def finish(self) -> None:
        """All is asked."""


def output_to(path: Path | None, key: str) -> Output:
    """Of the form that the ending names; without a path JSON lines on standard output.

    `key`: the column by which rows are known. Raises OutputUnusable.
    """
    if path is None:
        return JsonLines(sys.stdout.buffer, key)
    if path.suffix not in (".csv", ".jsonl", ".parquet"):
        raise OutputUnusable(f"{path} is to end in .csv, .jsonl or .parquet")
    if path.suffix == ".parquet":
        return Parquet(path, key)
    file = _opened(path)
    return Csv(file, path, key) if path.suffix == ".csv" else JsonLines(file, key)


class JsonLines:
    """One object a line, as the service answers."""

    def __init__(self, file: BinaryIO, key: str) -> None:
        self._file = file
        self.done = {str(json.loads(line)[key]) for line in file} if file.readable() else set()

    def write(self, row: Row) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n")
        self._file.flush()

    def finish(self) -> None:
        self._file.close()


class Csv:
    """Lists and objects have a column for each of their values. The first answer says which there are."""

    def __init__(self, file: BinaryIO, path: Path, key: str) -> None:
        self.done: set[str] = set()
        self._path = path
        self._file = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="", write_through=True)
        self._held: list[Row] = []  # errors that came before it
        reader = csv.DictReader(self._file)
        self._columns = list(reader.fieldnames or ())
        if self._columns and key not in self._columns:
            raise OutputUnusable(f"{path} has no column {key!r}, so it is none of this command")
        self.done |= {str(row[key]) for row in reader}

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

    def _begin(self, columns: list[str]) -> None:
        self._columns = columns
        self._put({column: column for column in columns})
        for row in self._held:
            self._put(row)
        self._held = []

    def _put(self, row: Row) -> None:
        if strange := [name for name in row if name not in self._columns]:
            raise OutputUnusable(
                f"{self._path} lacks {', '.join(strange[:5])}, which this answer has: name another --out"
            )
        csv.DictWriter(self._file, self._columns, lineterminator="\n").writerow(row)


class Parquet:
    """Written when all is asked; until then answers are kept in JSON lines beside it."""

    def __init__(self, path: Path, key: str) -> None:
        if not find_spec("pyarrow"):
            raise OutputUnusable(f"{path.name} needs pyarrow: {installing('parquet')}")
        self._path = path
        self._beside = path.with_name(path.name + ".jsonl")
        self._lines = JsonLines(_opened(self._beside), key)
        self._before = self._read()
        self.done = self._lines.done | {str(row[key]) for row in self._before}

    def write(self, row: Row) -> None:
        self._lines.write(dict(flattened(row)))

    def finish(self) -> None:
        """Whole or not at all. Raises OutputUnusable."""
        import pyarrow
        from pyarrow import parquet

        with self._beside.open("rb") as lines:
            rows = [*self._before, *map(json.loads, lines)]
        columns = dict.fromkeys(name for row in rows for name in row)
        staged = self._path.with_name(f".{self._path.name}")
        try:
            table = pyarrow.table({name: [row.get(name) for row in rows] for name in columns})
            parquet.write_table(table, staged)
            os.replace(staged, self._path)
        except (OSError, pyarrow.ArrowException) as error:
            raise OutputUnusable(
                f"{self._path} cannot be written: {error}; {self._beside} has all"
            ) from error
        self._lines.finish()
        self._beside.unlink()

    def _read(self) -> list[dict[str, Any]]:
        import pyarrow
        from pyarrow import parquet

        try:
            rows: list[dict[str, Any]] = (
                parquet.read_table(self._path).to_pylist() if self._path.exists() else []
            )
        except (OSError, pyarrow.ArrowException) as error:
            raise OutputUnusable(f"{self._path} cannot be read: {error}") from error
        return rows


def flattened(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """`{"p": [0.1, 0.9]}` → `p_0`, `p_1`."""
    if isinstance(value, Mapping | list):
        inner = value.items() if isinstance(value, Mapping) else enumerate(value)
        for part, one in inner:
            yield from flattened(one, f"{name}_{part}" if name else str(part))
    else:
        yield name, value


def _opened(path: Path) -> BinaryIO:
    """To be read from its beginning and written at its end, by one command at a time.

    The last line goes where it has no end: who wrote it was killed. Raises OutputUnusable.
    """
    try:
        file = path.open("a+b")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = file.seek(0, os.SEEK_END)
        begin = file.seek(max(0, size - TAIL))
        file.truncate(begin + file.read().rfind(b"\n") + 1)
        file.seek(0)
    except BlockingIOError as error:
        raise OutputUnusable(f"{path} is being written by another command") from error
    except OSError as error:
        raise OutputUnusable(f"{path} cannot be written: {error.strerror}") from error
    return file
