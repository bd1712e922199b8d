"""Ctrl-C, SIGTERM and a closed terminal end a training with a word, not with a traceback."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.05


class Interrupted(BaseException):
    """A signal came. No `except Exception` on its way may take it for an error."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number  # as a shell says it


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted at the first signal; those that were ignored before, as under nohup, still are.

    It is raised again until it is caught: a destructor drops an exception, and C code that imports drops it
    or makes an ImportError of it.
    """
    came: list[int] = []

    def insist(*_: object) -> None:
        if not _is_raised():
            raise Interrupted(came[0])

    def hear(number: int, _: FrameType | None) -> None:
        came.append(number)
        uninterrupted()
        signal.signal(signal.SIGALRM, insist)
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S, AGAIN_S)
        raise Interrupted(number)

    try:
        with _handled(hear):
            yield
    except ImportError:
        if came:
            raise Interrupted(came[0]) from None
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def deferred() -> Iterator[None]:
    """A signal that comes meanwhile is heard afterwards; of other threads than the first none is."""
    if current_thread() is not main_thread():
        yield
        return
    came: list[int] = []
    try:
        with _handled(lambda number, _frame: came.append(number)):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])


def uninterrupted() -> None:
    """What is cleaned up and written from here on takes moments; a signal would break it off.

    So would the end of a process that augments, which torch makes an error of wherever this one is.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # by default, one that is pending is told


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, former in before.items():
        if former is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _is_raised() -> bool:
    """Whether what is done now is done because of it."""
    error = sys.exception()
    while error and not isinstance(error, Interrupted):
        error = error.__context__
    return error is not None
