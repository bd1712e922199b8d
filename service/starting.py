"""How a process starts and ends.

What signals do until the service or a command is ready, since its imports take seconds; which of them a
child is started with; and a standard output that survives a full disk or a terminal of few characters.
"""

import atexit
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType
from typing import NoReturn

INTERRUPTED = b"Error: interrupted\n"


def stop_at_once() -> None:
    """From here on SIGTERM, SIGINT and SIGQUIT end the process with exit code 0, as a later stop does.

    SIGHUP, SIGUSR1 and SIGUSR2, which later ask for something else, are ignored.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: os._exit(0))
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def will_serve(words: Sequence[str]) -> bool:
    """Whether the words of a command line name no subcommand."""
    return not words or words[0][:1] in ("", "-")


def interrupted_at_once(*others: signal.Signals) -> None:
    """Ctrl-C, or one of the `others`, ends a command that has done nothing yet with a word.

    Not by an exception: C code that imports drops it, or makes another of it.
    """
    for number in (signal.SIGINT, *others):
        _handle(number, _end)


def interrupted_in_order() -> None:
    """From here on what is under way is put away; typer makes exit code 130 of it."""
    _handle(signal.SIGINT, _say)


def interrupted_by_exception() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt, and the command says what became of it."""
    _handle(signal.SIGINT, signal.default_int_handler)


@contextmanager
def blocked(*numbers: signal.Signals) -> Iterator[None]:
    """A process that is started meanwhile is born deaf to these: those to the whole group are for us."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def open_output() -> None:
    """From here on what standard output does not encode is replaced. Where it cannot be written, a line
    says why, and the command ends in order.
    """
    given = sys.stdout
    if isinstance(given, io.TextIOWrapper) and not isinstance(given, _Output):
        # By the line: what was only written at the end would be lost without exit code or word.
        sys.stdout = _Output(given.buffer, given.encoding, "replace", line_buffering=True)


def ended_at_once(command: Callable[[], object]) -> NoReturn:
    """Run it, and end without what the interpreter does then: of torch it takes most of a second.

    What is registered with `atexit` is done, and what was written arrives. Exceptions go their usual way.
    """
    code: str | int | None = None
    try:
        command()
    except SystemExit as ended:
        code = ended.code
        if not isinstance(code, int | None):  # a word, which the interpreter writes
            raise
    try:
        atexit._run_exitfuncs()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except SystemExit as ended:  # standard output could not be written
        code = ended.code
    os._exit(code if isinstance(code, int) else 0)


def _handle(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> None:
    if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
        signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> None:
    os.write(2, INTERRUPTED)
    os._exit(128 + number)  # as a shell says it


def _say(_number: int, _frame: FrameType | None) -> None:
    os.write(2, INTERRUPTED)
    raise KeyboardInterrupt


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
