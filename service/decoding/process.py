"""A process that reads pictures (`decoder`), seen from the service's side."""

import asyncio
import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from service.decoding.decoder import LENGTH, READY, NotSmall, Task, packed
from service.errors import InternalError, InvalidImage, NotReady, PictureTooCostly, ServiceError

logger = logging.getLogger(__name__)

_START = "import sys; sys.path[:] = {path!r}; from service.decoding.decoder import main; main({descriptor})"


class DecoderProcess:
    """One process, once it is started, and our end of its socket."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    async def read(self, tasks: Sequence[Task]) -> list[Any]:
        """An answer for each, for `found_in`.

        Raises NotSmall, NotReady, or another ServiceError: why it ended. Of several tasks it may be any.
        """
        await self.start()
        assert self._socket
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, packed(tasks))
            (length,) = LENGTH.unpack(await self._receive(LENGTH.size))
            answer = await self._receive(length)
        except (EOFError, OSError):
            raise _why_it_ended(await self.end(), tasks[0]) from None
        answers: list[Any] = json.loads(answer)
        return answers

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
