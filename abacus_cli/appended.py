"""A file that is gone on with behind its last whole line, by one command at a time."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class OutputUnusable(Exception):
    """Answers cannot go there."""


class Appended:
    """Nothing of it is changed before the first `append`: what is in it decides whether it may be.

    `kept`: the bytes that stay then, as its reader finds them. What is behind them has no end: who wrote it
    was killed. `ended`: whether the line that was read last has one.
    """

    def __init__(self, path: Path) -> None:
        """Raises OutputUnusable."""
        self.path = path
        self.kept = 0
        self.ended = True
        self._read = 0
        try:
            self._file = path.open("a+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file.seek(0)
        except BlockingIOError as error:
            raise OutputUnusable(f"{path} is being written by another command") from error
        except OSError as error:
            raise OutputUnusable(f"{path} cannot be written: {error.strerror or error}") from error

    def lines(self) -> Iterator[str]:
        """The lines that are there, with their ends; what is no UTF-8 becomes surrogates, as in paths."""
        for line in self._file:
            self._read += len(line)
            self.ended = line.endswith(b"\n")
            yield line.decode("utf-8", "surrogateescape")

    def keep(self) -> None:
        """What was read until now."""
        self.kept = self._read

    def append(self, text: str) -> None:
        """At once. Raises OutputUnusable."""
        try:
            if self.kept < self._read:
                self._file.truncate(self.kept)
                self._read = self.kept
            self._file.seek(0, os.SEEK_END)
            self._file.write(text.encode("utf-8", "surrogateescape"))
            self._file.flush()
        except OSError as error:
            raise OutputUnusable(f"{self.path} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        self._file.close()
