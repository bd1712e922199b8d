"""Calls on threads that the end of the program does not wait for, as it does for those of a pool."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class Begun(Future[T]):
    """A call under way; `result()` is what it returns or raises."""

    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__()
        self._call = call
        Thread(target=self._run, name="abacus-client", daemon=True).start()

    def _run(self) -> None:
        with self:
            self.set_result(self._call())

    def __enter__(self) -> None: ...

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> bool:
        """Hands on whatever it is to who asks for the result."""
        if error:
            self.set_exception(error)
        return True
