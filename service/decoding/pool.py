"""Pictures are read by processes (`decoder`): in turn over clients, and no longer than somebody waits.

All but one of the processes may read large pictures at a time, so that small ones always find one. Where it
is the last that is free, it reads a picture's header, and leaves a large one to the others.
"""

import asyncio
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from service.decoding.decoder import LENGTH, READY, NotSmall, Task, found_in
from service.decoding.turns import Turns
from service.errors import FieldError, InternalError, InvalidImage, NotReady, PictureTooCostly, ServiceError
from service.pictures.images import Finding, Upload

logger = logging.getLogger(__name__)

# A picture that nobody waits for any longer may still be finished within this time: most are, and a new
# process takes as long.
GRACE_S = 0.2

# Of computing, for one picture; and for one where it is only read if it is small.
MOST_SECONDS, MOST_SECONDS_OF_SMALL = 5.0, 1.0

_START = "import sys; sys.path[:] = {path!r}; from service.decoding.decoder import main; main({descriptor})"


class Decoding:
    """So many processes, at least two; each is started when it is first needed."""

    def __init__(self, processes: int, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._idle = [_Decoder() for _ in range(max(2, processes))]
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

    async def find(self, uploads: Sequence[Upload], client: str) -> list[Finding]:
        """What is on them, in their order. Whoever is cancelled has given them up.

        Raises what the first one that cannot be read is refused for, naming its field; or NotReady.
        """
        jobs = [_Job(upload, client) for upload in uploads]
        for job in jobs:
            self._waiting.add(client, job)
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

    async def _start(self, decoder: "_Decoder") -> None:
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
            job = (self._large if any_size and self._large else self._waiting).take()
            job.decoder = self._idle.pop()
            self._places_for_large -= any_size
            self._go_on(self._run(job, job.decoder, any_size))

    async def _run(self, job: "_Job", decoder: "_Decoder", any_size: bool) -> None:
        try:
            seconds = MOST_SECONDS if any_size else MOST_SECONDS_OF_SMALL
            task = Task(job.upload.data, self._max_pixels, not any_size, seconds)
            job.settle(await decoder.read(task))
        except NotSmall:
            if not job.found.done():
                self._large.add(job.client, job)
        except ServiceError as error:
            job.fail(error)
        except (LookupError, TypeError, ValueError) as error:  # no answer that a decoder gives
            await decoder.end()
            job.fail(InternalError(f"a decoder answered what is none: {error!r}"))
        finally:
            job.decoder = None
            self._idle.append(decoder)
            self._places_for_large += any_size
            self._dispatch()


class _Job:
    """One picture that somebody waits for."""

    def __init__(self, upload: Upload, client: str) -> None:
        self.upload = upload
        self.client = client
        self.found: asyncio.Future[Finding] = asyncio.get_running_loop().create_future()
        self.decoder: _Decoder | None = None

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


class _Decoder:
    """One process, once it is started, and our end of its socket."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    async def read(self, task: Task) -> Finding:
        """Raises NotSmall, NotReady, or another ServiceError: what is wrong with the picture."""
        await self.start()
        assert self._socket
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._socket, task.packed_head())
            await loop.sock_sendall(self._socket, task.data)
            (length,) = LENGTH.unpack(await self._receive(LENGTH.size))
            answer = await self._receive(length)
        except (EOFError, OSError):
            raise _why_it_ended(await self.end(), task) from None
        return found_in(answer)

    async def start(self) -> None:
        """Raises NotReady."""
        if self._process:
            return
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        spawning = asyncio.create_task(asyncio.to_thread(_spawn, theirs))
        try:
            self._process = await asyncio.shield(spawning)
            await self._receive(len(READY))
        except asyncio.CancelledError:
            self._process = await spawning  # so that it can be ended
            raise
        except (EOFError, OSError) as error:
            await self.end()
            logger.error("no process that reads pictures could be started: %r", error)
            raise NotReady("No process that reads pictures could be started.") from error

    async def _receive(self, size: int) -> bytes:
        """Raises EOFError."""
        assert self._socket
        received = b""
        while len(received) < size:
            piece = await asyncio.get_running_loop().sock_recv(self._socket, size - len(received))
            if not piece:
                raise EOFError
            received += piece
        return received

    def kill(self) -> None:
        if self._process:
            self._process.kill()

    async def end(self) -> int:
        """Returns its exit status. Without effect where none runs."""
        process, self._process = self._process, None
        if self._socket:
            self._socket.close()
        if not process:
            return 0
        process.kill()
        return await asyncio.to_thread(process.wait)


def _spawn(theirs: socket.socket) -> subprocess.Popen[bytes]:
    """In a session of its own, which signals to the service's processes do not reach.

    It alone has its end of the socket, so that ours tells when it ends.
    """
    with theirs:
        start = _START.format(path=sys.path, descriptor=theirs.fileno())
        return subprocess.Popen(
            [sys.executable, "-c", start],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )


def _why_it_ended(status: int, task: Task) -> NotSmall | ServiceError:
    """What a process that ended while it read a picture says of the picture."""
    if status == -signal.SIGPROF:
        if task.only_small:
            return NotSmall()
        return PictureTooCostly(f"Reading the picture takes more than {task.seconds:.0f} s of computing.")
    if status == -signal.SIGKILL:
        return PictureTooCostly("Reading the picture takes too much memory.")
    if status < 0:
        logger.error("a decoder was ended by signal %d", -status)
        return InvalidImage("The picture cannot be read: its decoder failed.")
    return InternalError(f"a decoder ended with status {status}")
