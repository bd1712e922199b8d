"""A request on its way through batches: its rows, and the answers to them."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.artifacts.manifest import Manifest
from service.errors import ServiceError

Rows = NDArray[Any]
Outputs = NDArray[np.float32]
OnAnswer = Callable[["Answer | ServiceError"], None]


class Answer(NamedTuple):
    """The answers to one request; the model that gave them; where the time went, in seconds.

    `outputs`: [rows, columns]. As lists, those of long requests would be what the garbage collector walks
    again and again while they wait: whoever writes them makes lists of a few rows at a time.
    """

    outputs: Outputs
    manifest: Manifest
    queue_s: float
    infer_s: float


class Owner(Protocol):
    """Whoever computes a job: of which model, and how many it has not answered."""

    manifest: Manifest
    unanswered: int


class Job:
    """One request: its rows, and the answers to those that have been in a batch."""

    __slots__ = (
        "_batcher",
        "_on_answer",
        "_outputs",
        "answered",
        "count",
        "done",
        "expires_at",
        "queued_at",
        "rows",
        "started_at",
        "taken",
    )

    def __init__(self, batcher: Owner, rows: Rows, on_answer: OnAnswer, expires_at: float) -> None:
        self._batcher = batcher
        self._on_answer = on_answer
        self.rows = rows
        self.count = len(rows)
        self.done = False
        self.expires_at = expires_at
        self.taken = 0
        self.answered = 0
        self._outputs: Outputs
        self.queued_at = time.perf_counter()
        self.started_at = 0.0

    def take(self, at_most: int) -> "Part":
        """The next rows that have been in no batch yet."""
        if not self.taken:
            self.started_at = time.perf_counter()
        count = min(at_most, self.count - self.taken)
        rows = self.rows if count == self.count else self.rows[self.taken : self.taken + count]
        self.taken += count
        return Part(self, rows, count)

    def settle(self, result: Outputs | ServiceError) -> None:
        """Take in the answers to one part. The last one, or a failure, answers the request."""
        if self.done:
            return
        if isinstance(result, ServiceError):
            self.drop()
            self._on_answer(result)
            return
        self._keep(result)
        if self.answered == self.count:
            self.drop()
            infer_s = time.perf_counter() - self.started_at
            queue_s = self.started_at - self.queued_at
            self._on_answer(Answer(self._outputs, self._batcher.manifest, queue_s, infer_s))

    def _keep(self, part: Outputs) -> None:
        count = len(part)
        if count == self.count:
            self._outputs = part
        else:
            if not self.answered:
                self._outputs = np.empty((self.count, *part.shape[1:]), part.dtype)
            self._outputs[self.answered : self.answered + count] = part
        self.answered += count

    def drop(self) -> None:
        """Nobody waits for it any longer: rows that still wait are not computed."""
        if not self.done:
            self.done = True
            self._batcher.unanswered -= 1


class Part(NamedTuple):
    """The rows of one request that are in one batch."""

    job: Job
    rows: Rows
    n: int
