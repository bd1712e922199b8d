"""Pictures are read by processes (`decoder`): in turn over clients, and no longer than somebody waits.

All but one of the processes may read large pictures at a time, so that small ones always find one. Where it
is the last that is free, it reads a picture's header, and leaves a large one to the others.

Where more wait than there are processes, several light files go to one at once: their answers come
together, and so they are predicted in one batch.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from service.artifacts.interface import PictureInput
from service.decoding.decoder import NotSmall, NotYet, Task, found_in
from service.decoding.process import DecoderProcess
from service.decoding.turns import Turns
from service.errors import FieldError, InternalError, NotReady, ServiceError
from service.pictures.fitting import Fit
from service.pictures.images import Finding, Upload

# A picture that nobody waits for any longer may still be finished within this time: most are, and a new
# process takes as long.
GRACE_S = 0.2

# Of computing, for one picture; and for one where it is only read if it is small.
MOST_SECONDS, MOST_SECONDS_OF_SMALL = 5.0, 1.0

# That go to a process at once, at the most, and how many bytes one of them has.
TOGETHER, LIGHT_BYTES = 8, 64 * 1024

SMALL_BYTES = 1_000_000  # of a file whose header is looked at where large pictures have to wait


def fit_of(rows: PictureInput, each: bool = False) -> Fit:
    """What is made of a picture for a model that takes such `rows`. `each`: of every digit on it."""
    if each:
        return Fit(rows.height, rows.width, rows.channels, "each")
    return Fit(rows.height, rows.width, rows.channels, rows.resize, rows.resize_to or 0)


class Decoding:
    """A pool of processes, at least two, each of which is started when it is first needed."""

    def __init__(self, processes: int, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._idle = [DecoderProcess() for _ in range(max(2, processes))]
        self._all = tuple(self._idle)
        self._waiting: Turns[_Job] = Turns()
        self._large: Turns[_Job] = Turns()
        self._places_for_large = len(self._all) - 1
        self._running: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def busy(self) -> int:
        """How many processes read a picture."""
        return len(self._all) - len(self._idle)

    async def find(
        self, uploads: Sequence[Upload], client: str, rows: PictureInput, each: bool = False
    ) -> list[Finding]:
        """What a model that takes such `rows` reads of them, in their order; or of `each` digit on them.

        Whoever is cancelled has given them up.

        Raises what the first one that cannot be read is refused for, naming its field; or NotReady.
        """
        fit = fit_of(rows, each)
        jobs = [_Job(upload, client, fit) for upload in uploads]
        for job in jobs:
            (self._waiting if len(job.upload.data) <= SMALL_BYTES else self._large).add(client, job)
        self._dispatch()
        try:
            return [await job.found for job in jobs]
        finally:
            for job in jobs:
                self._give_up(job)

    def start(self) -> None:
        """Start one process, so that the first picture does not wait for it."""
        self._go_on(self._start(self._idle.pop()))

    async def close(self) -> None:
        """End them all, whatever they do."""
        self._closing = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for decoder in self._all:
            await decoder.end()

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _start(self, decoder: DecoderProcess) -> None:
        with suppress(NotReady):  # it is tried again for the first picture
            await decoder.start()
        self._idle.append(decoder)
        self._dispatch()

    def _give_up(self, job: "_Job") -> None:
        self._waiting.discard(job.client, job)
        self._large.discard(job.client, job)
        if not job.found.cancel() and not job.found.cancelled():
            job.found.exception()  # looked at, though nobody waited for it
        if job.decoder:
            asyncio.get_running_loop().call_later(GRACE_S, job.kill)

    def _dispatch(self) -> None:
        while (
            not self._closing and self._idle and (self._waiting or (self._large and self._places_for_large))
        ):
            any_size = self._places_for_large > 0
            jobs = [self._large.take()] if any_size and self._large else self._next()
            any_size = any_size and len(jobs) == 1
            decoder = self._idle.pop()
            for job in jobs:
                job.decoder = decoder
            self._places_for_large -= any_size
            self._go_on(self._run(jobs, decoder, any_size))

    def _next(self) -> list["_Job"]:
        """The jobs whose turn it is: one, or several light ones that leave the other processes a share."""
        share = min(TOGETHER, -(-len(self._waiting) // len(self._all)))
        jobs = [self._waiting.take()]
        while len(jobs) < share and jobs[-1].is_light and self._waiting.first().is_light:
            jobs.append(self._waiting.take())
        return jobs

    async def _run(self, jobs: list["_Job"], decoder: DecoderProcess, any_size: bool) -> None:
        try:
            seconds = MOST_SECONDS if any_size else MOST_SECONDS_OF_SMALL
            tasks = [job.task(self._max_pixels, not any_size, seconds) for job in jobs]
            answers = await decoder.read(tasks)
            for job, answer in zip(jobs, answers, strict=True):
                self._take_up(job, *answer)
        except (NotSmall, ServiceError) as error:
            for job in jobs:
                self._fail(job, error, alone=len(jobs) == 1)
        except (LookupError, TypeError, ValueError) as error:  # no answer that a decoder gives
            await decoder.end()
            for job in jobs:
                job.fail(InternalError(f"a decoder answered what is none: {error!r}"))
        finally:
            for job in jobs:
                job.decoder = None
            self._idle.append(decoder)
            self._places_for_large += any_size
            self._dispatch()

    def _take_up(self, job: "_Job", answer: Any, pixels: bytes) -> None:
        try:
            job.settle(found_in(answer, pixels))
        except (NotSmall, NotYet, ServiceError) as error:
            self._fail(job, error, alone=True)

    def _fail(self, job: "_Job", error: NotSmall | NotYet | ServiceError, alone: bool) -> None:
        """Where a process ended over several pictures none is known to be the cause: each is tried alone.

        So does what was left, or slow ones before it could hold it up for ever.
        """
        if job.found.done():
            return
        if isinstance(error, NotYet) or not alone:
            job.is_light = False
            self._waiting.add(job.client, job)
        elif isinstance(error, NotSmall):
            self._large.add(job.client, job)
        else:
            job.fail(error)


class _Job:
    """One picture that somebody waits for."""

    def __init__(self, upload: Upload, client: str, fit: Fit) -> None:
        self.upload = upload
        self.client = client
        self._fit = fit
        self.found: asyncio.Future[Finding] = asyncio.get_running_loop().create_future()
        self.decoder: DecoderProcess | None = None
        self.is_light = len(upload.data) <= LIGHT_BYTES

    def task(self, max_pixels: int, only_small: bool, seconds: float) -> Task:
        return Task(self.upload.data, max_pixels, only_small, seconds, self._fit)

    def settle(self, finding: Finding) -> None:
        if not self.found.done():
            self.found.set_result(finding)

    def fail(self, error: ServiceError) -> None:
        if self.found.done():
            return
        if self.upload.field:
            error.errors = (FieldError(self.upload.field, error.detail),)
        self.found.set_exception(error)

    def kill(self) -> None:
        if self.decoder:
            self.decoder.kill()
