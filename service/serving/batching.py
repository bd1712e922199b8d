"""From many requests to few batches and back.

Work-conserving, with no timer: while the device is busy, rows wait; when it is free, whatever waits
goes, up to `max_batch_rows`. So a lone request never waits, and batches form by themselves under load.
A caller whose requests arrive over several turns of the event loop says how many turns (`turns`). After a
batch of several requests, one that is not full waits up to that many turns for more.
Decoding and preparation come before this queue: everything in it is a valid row of the fixed shape.

Requests of few rows go first, but for a share of every batch that is kept for those of many: neither kind
waits for all of the other. One of more rows than fit goes to the back of its queue with its remainder.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from queue import SimpleQueue
from threading import Thread

import numpy as np
import torch

from service.engine.predictor import Predictor
from service.errors import InferenceFailed, ServiceError, outcome
from service.serving.job import Answer, Job, OnAnswer, Outputs, Part, Rows

logger = logging.getLogger(__name__)

# Of a batch: what a request of few rows has at most, and what is kept for those of more while any waits.
FEW, KEPT = 1 / 16, 1 / 4

HOPES = 16  # lone requests in a row, after a batch of several, that still wait for others to join


class Batcher:
    """Answers requests with one predictor, in batches, one batch at a time.

    A quick predictor runs on the event loop, behind the requests that the loop has read meanwhile. Any
    other runs on a thread, where torch releases the interpreter lock, and takes the next batch by itself.
    """

    def __init__(
        self,
        predictor: Predictor,
        max_batch_rows: int,
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        """`on_batch` is told every batch's rows and the seconds it took: on the thread that ran it, or on
        the loop, once the answers are on their way.
        """
        self.manifest = predictor.manifest
        self.unanswered = 0
        # When the batch that is being computed began, by `time.perf_counter`; 0 while there is none.
        self.busy_since = 0.0
        self._predictor = predictor
        self._max_batch_rows = max_batch_rows
        self._on_batch = on_batch
        # Where nothing can be kept, all are of many rows: they take turns.
        self._kept = int(KEPT * max_batch_rows)
        self._few_rows = max(1, int(FEW * max_batch_rows)) if self._kept else 0
        self._few: deque[Job] = deque()
        self._many: deque[Job] = deque()
        self._scheduled = False
        self._hopes = 0  # so many batches more may wait for others to come
        self._turns = 0
        self._wake: SimpleQueue[asyncio.AbstractEventLoop | None] = SimpleQueue()
        self._thread: Thread | None = None
        if not predictor.quick:
            self._thread = Thread(target=self._run_on_thread, name="inference", daemon=True)
            self._thread.start()

    def submit(self, rows: Rows, on_answer: OnAnswer, expires_at: float = math.inf, turns: int = 0) -> Job:
        """Queue `rows` [N, ...], of the dtype that the model takes: the rows of one request.

        `on_answer` is called on the event loop, later, with the answer or with InferenceFailed; never once
        the job is dropped. Rows that still wait at `expires_at`, in the loop's time, are not computed and
        not answered: whoever waits for them is to give up by itself, and drop the job. `turns`: of the loop
        that may lie between requests that come together.
        """
        job = Job(self, rows, on_answer, expires_at)
        (self._few if job.count <= self._few_rows else self._many).append(job)
        self.unanswered += 1
        self._turns = max(self._turns, turns)
        loop = asyncio.get_running_loop()
        if self._thread:
            self._wake.put(loop)
        elif not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._run_on_loop, loop, 1)
        return job

    async def predict(self, rows: Rows, expires_at: float = math.inf, turns: int = 0) -> Answer:
        """`submit`, awaited; dropped when the caller is cancelled. Raises InferenceFailed."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def on_answer(answer: Answer | ServiceError) -> None:
            if answered.done():
                return
            if isinstance(answer, ServiceError):
                answered.set_exception(answer)
            else:
                answered.set_result(answer)

        job = self.submit(rows, on_answer, expires_at, turns)
        try:
            return await answered
        finally:
            job.drop()

    def close(self) -> None:
        """Have the thread end after the batch that it computes, which nobody need wait for."""
        if self._thread:
            self._wake.put(None)

    @property
    def ended(self) -> bool:
        """Whether there is no thread any longer."""
        return not (self._thread and self._thread.is_alive())

    def _run_on_loop(self, loop: asyncio.AbstractEventLoop, seen: int, in_vain: int = 0) -> None:
        """Run what waits, once the loop brings no more: on one thread, reading comes before computing.

        `in_vain`: so many turns have brought nothing.
        """
        waiting = len(self._few) + len(self._many)
        if waiting < self._max_batch_rows:
            if seen < waiting:
                loop.call_soon(self._run_on_loop, loop, waiting)
                return
            if self._hopes and in_vain < self._turns:
                loop.call_soon(self._run_on_loop, loop, waiting, in_vain + 1)
                return
        self._turns = 0
        if batch := self._next_batch():
            self._hopes = HOPES if len(batch) > 1 else max(0, self._hopes - 1)
            _settle(batch, self._infer(batch))
        self._scheduled = bool(self._few or self._many)
        if self._scheduled:
            loop.call_soon(self._run_on_loop, loop, 0)

    def _run_on_thread(self) -> None:
        while loop := self._wake.get():
            while batch := self._next_batch():
                results = self._infer(batch)
                try:
                    loop.call_soon_threadsafe(_settle, batch, results)
                except RuntimeError:  # the loop is closed: nobody waits any longer
                    return

    def _next_batch(self) -> list[Part]:
        """Take rows up to the limit, in turn; answered, cancelled and expired requests are dropped."""
        batch: list[Part] = []
        now = time.monotonic()
        if not self._many:
            self._fill(batch, self._few, self._max_batch_rows, now)
            return batch
        room = self._fill(batch, self._few, self._max_batch_rows - self._kept, now)
        self._fill(batch, self._many, room + self._kept, now)
        return batch

    def _fill(self, batch: list[Part], waiting: deque[Job], room: int, now: float) -> int:
        """Returns the room that is left."""
        while room and waiting:
            job = waiting.popleft()
            if job.done or job.expires_at <= now:
                continue
            part = job.take(room)
            batch.append(part)
            room -= part.n
            if job.taken < job.count:
                waiting.append(job)
        return room

    def _infer(self, batch: Sequence[Part]) -> list[Outputs | ServiceError]:
        """One result for each part. A batch that fails is run again part by part: only the guilty fail."""
        alone = len(batch) == 1
        started = self.busy_since = time.perf_counter()
        outputs = outcome(self._computed, batch)
        self.busy_since = 0.0
        if isinstance(outputs, Exception):  # whatever it was, every caller must hear of it
            if alone:
                return [InferenceFailed.told(outputs)]
            logger.warning("a batch of %d requests failed; running them one by one", len(batch))
            return [result for part in batch for result in self._infer([part])]
        took_s = time.perf_counter() - started
        if self._on_batch and self._thread:
            self._on_batch(len(outputs), took_s)
        elif self._on_batch:
            asyncio.get_running_loop().call_soon(self._on_batch, len(outputs), took_s)
        if alone:
            return [outputs]
        ends = list(accumulate(part.n for part in batch))
        return [outputs[end - part.n : end] for part, end in zip(batch, ends, strict=True)]

    def _computed(self, batch: Sequence[Part]) -> Outputs:
        # A copy also of one part: a model may write to its rows, of which more may be said afterwards.
        return self._predictor.answer(torch.from_numpy(np.concatenate([part.rows for part in batch])))


def _settle(batch: list[Part], results: list[Outputs | ServiceError]) -> None:
    for part, result in zip(batch, results, strict=True):
        part.job.settle(result)
