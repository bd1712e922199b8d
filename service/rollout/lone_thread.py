"""A thread that may hang: whoever asked it for something can go on without it, and the process can end.

An executor's threads are waited for when the process ends, however long they take. What others wrote (a
model, a file on a mount that does not answer) may take for ever.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from service.errors import outcome

T = TypeVar("T")

_Errand = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class LoneThread:
    """Does one thing after another, on one thread: torch keeps memory for each that there was."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._errands: SimpleQueue[_Errand | None] | None = self._started()

    def call(self, function: Callable[[], T]) -> "asyncio.Future[T | Exception]":
        """What `function` returns, or raises, as the result; it may be waited for no longer at any time.

        RuntimeError, too, where the system allows no thread in the place of one that was given up.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T | Exception] = loop.create_future()
        try:
            self._errands = self._errands or self._started()
        except RuntimeError as error:
            future.set_result(error)
        else:
            self._errands.put((loop, future, function))
        return future

    def give_up(self) -> None:
        """Leave the thread to what it does, after which it ends; another does what is asked from now on."""
        self.close()
        self._errands = None

    def close(self) -> None:
        """Have the thread end when it has done what it was asked."""
        if self._errands:
            self._errands.put(None)

    def _started(self) -> "SimpleQueue[_Errand | None]":
        errands: SimpleQueue[_Errand | None] = SimpleQueue()
        Thread(target=_run, args=(errands,), name=self._name, daemon=True).start()
        return errands


def _run(errands: "SimpleQueue[_Errand | None]") -> None:
    while errand := errands.get():
        loop, future, function = errand
        with suppress(RuntimeError):  # the loop is closed: nobody waits any longer
            loop.call_soon_threadsafe(_settle, future, outcome(function))
        del errand, future, function  # else a model would be kept until the next errand


def _settle(future: "asyncio.Future[Any]", result: object) -> None:
    if not future.done():
        future.set_result(result)
