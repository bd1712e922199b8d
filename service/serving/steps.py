"""Work on large documents, done by the event loop a step at a time, with a turn for everyone in between.

A thread would not do it beside the loop, but instead of it: hardly any of this work gives up the
interpreter lock, for which the loop would have to wait several times for every small request.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")

# What is yielded says only that others may have their turn; what is returned is the result.
Steps = Generator[None, None, T]

# Told of so many bytes more that a step has made; it may refuse them, and raises then.
OnMore = Callable[[int], None]

# For so long steps are taken in one go, the last one to its end. A small request needs four or five turns.
STEPS_S = 0.00005


class Stepping:
    """Takes the steps of one piece of work after the other: two halves help nobody."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def take(self, steps: Steps[T]) -> T:
        """What they return. Whoever is cancelled takes no more of them."""
        async with self._turn:
            while True:
                until = time.perf_counter() + STEPS_S
                try:
                    next(steps)
                    while time.perf_counter() < until:
                        next(steps)
                except StopIteration as end:
                    result: T = end.value
                    return result
                await asyncio.sleep(0)


def taken(steps: Steps[T]) -> T:
    """What they return, all of them taken at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
