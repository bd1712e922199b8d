"""Parquet as an output: written once all is asked, a block of rows after the other."""

import json
import os
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from abacus_cli.appended import OutputUnusable
from abacus_cli.columns import ERROR, Row, flattened, is_of_command
from abacus_cli.table_files import BLOCK_ROWS
from abacus_cli.text_outputs import STRANGE, JsonLines
from abacus_client.asking import chunks
from service import installing

_INT64 = range(-(2**63), 2**63)

Rows = list[dict[str, Any]]


class Parquet:
    """Until all is asked answers are kept in JSON lines beside it."""

    def __init__(self, path: Path, key: str) -> None:
        """Raises OutputUnusable."""
        if not find_spec("pyarrow"):
            raise OutputUnusable(f"{path.name} needs pyarrow: {installing('parquet')}")
        self._path = path
        self._beside = beside(path)
        for _ in self._before(key):  # refused before there is a file beside it
            break
        self._lines = JsonLines(self._beside, key)
        self._key, self.done = key, self._lines.done
        for rows in self._before(key, [key, ERROR]):  # of whoever had that until now
            for row in rows:
                self.done.add(str(row[key]), failed=row.get(ERROR) is not None)

    def write(self, row: Row) -> None:
        self._lines.write(dict(flattened(row)))

    def finish(self) -> None:
        """Whole or not at all. Raises OutputUnusable."""
        import pyarrow
        from pyarrow import parquet

        staged = self._path.with_name(f".{self._path.name}")
        try:
            schema = self._schema()
            with parquet.ParquetWriter(staged, schema) as writer:
                for rows in self._blocks():
                    writer.write_table(_table(rows, schema))
            os.replace(staged, self._path)
        except (OSError, UnicodeError, pyarrow.ArrowException) as error:
            raise OutputUnusable(
                f"{self._path} cannot be written: {error}; {self._beside} has all"
            ) from error
        finally:
            staged.unlink(missing_ok=True)
        self._lines.finish()
        self._beside.unlink()

    def _blocks(self) -> Iterator[Rows]:
        with self._beside.open(encoding="utf-8", errors="surrogateescape") as lines:
            yield from chain(self._before(self._key), chunks(map(json.loads, lines), BLOCK_ROWS))

    def _before(self, key: str, columns: list[str] | None = None) -> Iterator[Rows]:
        """What is in the file already. Raises OutputUnusable."""
        import pyarrow
        from pyarrow import parquet

        if not self._path.exists():
            return
        try:
            with parquet.ParquetFile(self._path) as file:
                if not is_of_command(file.schema_arrow.names, key):
                    raise OutputUnusable(f"{self._path} {STRANGE}")
                for batch in file.iter_batches(BLOCK_ROWS, columns=columns):
                    yield batch.to_pylist()
        except (OSError, pyarrow.ArrowException) as error:
            raise OutputUnusable(f"{self._path} cannot be read: {error}") from error

    def _schema(self) -> Any:
        """A column has one type: text, where some of its values are and others are not."""
        import pyarrow

        seen: dict[str, set[type]] = {}
        for rows in self._blocks():
            for row in rows:
                for name, value in row.items():
                    seen.setdefault(name, set()).add(_type(value))
        arrow = {
            bool: pyarrow.bool_(),
            int: pyarrow.int64(),
            float: pyarrow.float64(),
            str: pyarrow.string(),
        }
        types = {name: _common(types - {type(None)}) for name, types in seen.items()}
        return pyarrow.schema((name, arrow.get(type, pyarrow.null())) for name, type in types.items())


def beside(path: Path) -> Path:
    """Where answers are until all is asked."""
    return path.with_name(path.name + ".jsonl")


def _type(value: Any) -> type:
    """What Parquet is to have of it."""
    if isinstance(value, bool | float | None) or (isinstance(value, int) and value in _INT64):
        return type(value)
    return str


def _common(types: set[type]) -> type:
    if types == {int, float}:
        return float
    return types.pop() if len(types) == 1 else str if types else type(None)


def _table(rows: Rows, schema: Any) -> Any:
    import pyarrow

    of = {pyarrow.float64(): float, pyarrow.string(): str}
    return pyarrow.table(
        [
            pyarrow.array(_each(of.get(field.type), [row.get(field.name) for row in rows]), field.type)
            for field in schema
        ],
        schema,
    )


def _each(kind: type | None, values: list[Any]) -> list[Any]:
    if kind is None:
        return values
    return [value if value is None else kind(value) for value in values]
