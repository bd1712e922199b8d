"""Standard output of a command, whatever others make it: a full disk, a terminal of few characters."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread


def open_output() -> None:
    """From here on what standard output does not encode is replaced. Where it cannot be written, a line
    says why, and the command ends in order.
    """
    given = sys.stdout
    if isinstance(given, io.TextIOWrapper) and not isinstance(given, _Output):
        # By the line: what was only written at the end would be lost without exit code or word.
        sys.stdout = _Output(given.buffer, given.encoding, "replace", line_buffering=True)


class _Output(io.TextIOWrapper):
    def write(self, text: str) -> int:
        with _taken():
            return super().write(text)

    def flush(self) -> None:
        with _taken():
            super().flush()


@contextmanager
def _taken() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if current_thread() is not main_thread():  # as of spans: it is no command that ends there
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # where the rest goes, which is written on the way out
        if isinstance(error, BrokenPipeError):  # whoever read it has enough
            raise SystemExit(1) from error
        sys.stderr.write(f"Error: standard output cannot be written: {error.strerror}\n")
        raise SystemExit(2) from error
