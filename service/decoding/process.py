"""A process that reads pictures (`decoder`), seen from the service's side."""

import asyncio
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from service.decoding.decoder import LENGTHS, READY, NotSmall, Task, packed, unpacked
from service.errors import InternalError, InvalidImage, NotReady, PictureTooCostly, ServiceError

logger = logging.getLogger(__name__)

_START = "import sys; sys.path[:] = {path!r}; from service.decoding.decoder import main; main({descriptor})"


class DecoderProcess:
    """One process, once it is started, and our end of its socket."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._is_killed = False

    async def read(self, tasks: Sequence[Task]) -> list[tuple[Any, bytes]]:
        """An answer for each, for `found_in`.

        Raises NotSmall, NotReady, or another ServiceError: why it ended. Of several tasks it may be any.
        """
        await self.start()
        assert self._socket
        try:
            message = packed([task[1:] for task in tasks], [task.data for task in tasks])
            await asyncio.get_running_loop().sock_sendall(self._socket, message)
            of_document, of_pixels = LENGTHS.unpack(await self._receive(LENGTHS.size))
            document = await self._receive(of_document)
            pixels = await self._receive(of_pixels)
        except (EOFError, OSError):
            raise _why_it_ended(await self.end(), tasks[0]) from None
        return unpacked(document, pixels)

    async def start(self) -> None:
        """Raises NotReady."""
        # One that was killed just as it answered, or by the system, is not the next picture's fault.
        if self._is_killed or (self._process and self._process.poll() is not None):
            await self.end()
        if self._process:
            return
        try:
            self._socket, theirs = socket.socketpair()
            self._socket.setblocking(False)
            spawning = asyncio.create_task(asyncio.to_thread(_spawn, theirs))
            self._process = await asyncio.shield(spawning)
            greeting = await self._receive_greeting()
        except asyncio.CancelledError:
            self._process = await spawning  # so that it can be ended
            raise
        except (EOFError, OSError) as error:
            if not self._is_killed:
                logger.error("no process that reads pictures could be started: %r", error)
            await self.end()
            raise NotReady("No process that reads pictures could be started.") from error
        if greeting != READY:
            await self.end()
            logger.error(
                "the process that reads pictures says %r, not %r: the service's files were replaced while"
                " it ran; start it again",
                greeting,
                READY,
            )
            raise NotReady("The service was updated while it ran, and has to be started again.")

    async def _receive_greeting(self) -> bytes:
        """The greeting, or what comes instead of it. Raises EOFError."""
        received = b""
        while received != READY and READY.startswith(received):
            received += await self._receive_some(len(READY) - len(received))
        return received

    async def _receive(self, size: int) -> bytes:
        """Raises EOFError."""
        received = bytearray()
        while len(received) < size:
            received += await self._receive_some(size - len(received))
        return bytes(received)

    async def _receive_some(self, at_most: int) -> bytes:
        """Raises EOFError."""
        assert self._socket
        piece = await asyncio.get_running_loop().sock_recv(self._socket, at_most)
        if not piece:
            raise EOFError
        return piece

    def kill(self) -> None:
        if self._process:
            self._is_killed = True
            self._process.kill()

    async def end(self) -> int:
        """Returns its exit status. Without effect where none runs."""
        process, self._process, self._is_killed = self._process, None, False
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
