"""Calls on threads that the end of the program does not wait for, as it does for those of a pool."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class Begun(Future[T]):
    """A call under way; `result()` is what it returns or raises."""

    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__()
        self._call = call
        Thread(target=self._run, name="abacus-client", daemon=True).start()

    def _run(self) -> None:
        try:
            self.set_result(self._call())
        except BaseException as error:  # whatever it is: who asks for the result has it
            self.set_exception(error)
