"""From many requests to few batches and back.

Work-conserving, with no timer: while the device is busy, rows wait; when it is free, whatever waits
goes, up to `max_batch_rows`. So a lone request never waits, and batches form by themselves under load.
Decoding and preparation come before this queue: everything in it is a valid row of the fixed shape.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor

from service.errors import InferenceFailed, ServiceError
from service.manifest import Manifest
from service.predictor import Predictor

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answers to one request, the model that gave them, and where the time went (seconds)."""

    outputs: Tensor
    manifest: Manifest
    queue_s: float
    infer_s: float


@dataclass(frozen=True, slots=True)
class _Job:
    rows: Tensor
    answer: "asyncio.Future[Answer]"
    queued_at: float = field(default_factory=time.perf_counter)


class Batcher:
    """Answers requests for one model, in batches, on one thread of its own.

    `model` is asked for the predictor when a batch starts, so a batch is answered by one version.
    """

    def __init__(self, model: Callable[[], Predictor], max_batch_rows: int = 64) -> None:
        self._model = model
        self._max_batch_rows = max_batch_rows
        self._waiting: deque[_Job] = deque()
        self._draining: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")

    async def predict(self, rows: Tensor) -> Answer:
        """Answer `rows` [N, ...], the rows of one request. Raises NotReady or InferenceFailed."""
        job = _Job(rows, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        if self._draining is None or self._draining.done():
            self._draining = asyncio.create_task(self._drain())
        return await job.answer

    def close(self) -> None:
        """Let the running batch end and free the thread."""
        self._thread.shutdown()

    async def _drain(self) -> None:
        while batch := self._next_batch():
            await self._answer(batch)

    def _next_batch(self) -> list[_Job]:
        """Take waiting jobs up to the row limit, at least one; those whose caller has gone are dropped."""
        batch: list[_Job] = []
        rows = 0
        while self._waiting:
            job = self._waiting[0]
            if job.answer.done():
                self._waiting.popleft()
                continue
            if batch and rows + len(job.rows) > self._max_batch_rows:
                break
            batch.append(self._waiting.popleft())
            rows += len(job.rows)
        return batch

    async def _answer(self, batch: list[_Job]) -> None:
        """Answer every job. A failed batch is run again job by job, so that only the guilty one fails."""
        try:
            await self._infer(batch)
        except Exception as error:  # whatever it was, every caller must hear of it
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            logger.warning("a batch of %d requests failed; running them one by one", len(batch))
            for job in batch:
                await self._answer([job])

    async def _infer(self, batch: list[_Job]) -> None:
        predictor = self._model()
        rows = torch.cat([job.rows for job in batch]) if len(batch) > 1 else batch[0].rows
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        outputs = await loop.run_in_executor(self._thread, predictor.predict, rows)
        infer_s = time.perf_counter() - started
        for job, part in zip(batch, outputs.split([len(job.rows) for job in batch]), strict=True):
            if not job.answer.done():
                queue_s = started - job.queued_at
                job.answer.set_result(Answer(part, predictor.manifest, queue_s, infer_s))


def _fail(job: _Job, error: Exception) -> None:
    if job.answer.done():
        return
    if not isinstance(error, ServiceError):
        failure = InferenceFailed(str(error))
        failure.__cause__ = error
        error = failure
    job.answer.set_exception(error)
