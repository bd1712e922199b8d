"""What is asked of the store, on a thread: it may not answer, and that is told."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from service.rollout.lone_thread import LoneThread

logger = logging.getLogger(__name__)

T = TypeVar("T")

# From when on a store is said not to answer.
STORE_ANSWERS_S = 2.0


class Asking:
    """Asks the store for `what`: a model, say. `silent` is told since when it does not answer, or None."""

    def __init__(self, what: str, silent: Callable[[datetime | None], None]) -> None:
        self.thread = LoneThread(f"store-{what}")
        self.told = asyncio.Event()  # set once it has answered, or is said not to
        self._what = what
        self._silent = silent

    async def ask(self, function: Callable[[], T]) -> T | Exception:
        """What `function` returns or raises, however long that takes."""
        asked_at = datetime.now(UTC)
        answer = self.thread.call(function)
        await asyncio.wait({answer}, timeout=STORE_ANSWERS_S)
        if not answer.done():
            self._silent(asked_at)
            logger.warning("the store does not answer; what is live of %s stays so", self._what)
            self.told.set()
            await asyncio.wait({answer})
            self._silent(None)
            logger.info("the store answers again for %s", self._what)
        return answer.result()

    def close(self) -> None:
        self.thread.close()
