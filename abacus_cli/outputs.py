"""Where answers go: CSV, JSON lines or Parquet. What is there already is not asked again."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from abacus_cli.appended import OutputUnusable
from abacus_cli.columns import Row
from abacus_cli.done import Done
from abacus_cli.parquet_output import Parquet, beside
from abacus_cli.table_files import is_one_of
from abacus_cli.text_outputs import Csv, JsonLines, line_of


class Output(Protocol):
    """`done`: what has a row already."""

    done: Done

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
    return [path, beside(path)] if path else []


class Printed:
    """One object a line, as the service answers."""

    def __init__(self) -> None:
        """Raises OutputUnusable."""
        if not sys.stdout:
            raise OutputUnusable("standard output is closed")
        self.done = Done()

    def write(self, row: Row) -> None:
        """Raises BrokenPipeError, too."""
        left = line_of(row).encode("utf-8", "surrogateescape")
        try:
            while left:  # of no buffer, which would have something left to write at the end
                left = left[os.write(sys.stdout.fileno(), left) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputUnusable(f"standard output cannot be written: {error.strerror}") from error

    def finish(self) -> None:
        pass
