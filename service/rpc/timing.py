"""How long a task may take: as `asyncio.timeout` has it, but with one timer for all."""

import asyncio
from types import TracebackType
from typing import Self

from service.serving.admission import Admission
from service.serving.deadlines import Deadlines


class Timed:
    """A block that is cut off with TimeoutError at `expires_at`, in the event loop's time."""

    __slots__ = ("_cancelling", "_deadlines", "_over", "_task", "expires_at")

    def __init__(self, deadlines: Deadlines, expires_at: float) -> None:
        self.expires_at = expires_at
        self._deadlines = deadlines
        self._over = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines.watch(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._deadlines.dismiss(self)
        if self._over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def look(self, now: float) -> None:
        """Cut it off when its time is over."""
        if self.expires_at <= now and not self._over:
            self._over = True
            self._task.cancel()


class Sending(Timed):
    """Likewise, and so many bytes are under way meanwhile, whether or not they fit."""

    __slots__ = ("_pending", "_size")

    def __init__(self, deadlines: Deadlines, expires_at: float, pending: Admission, size: int) -> None:
        super().__init__(deadlines, expires_at)
        self._pending = pending
        self._size = size

    def __enter__(self) -> Self:
        self._pending.take(self._size)
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pending.release(self._size)
        super().__exit__(kind, error, traceback)
