"""New connections go to the worker that holds the fewest.

The system wakes all workers for a connection, and whoever is awake first takes it, with all that come in
the same burst: of 16, one of two workers had all. So each tells in shared memory how many it holds, and
one that holds more than another leaves what is new alone for a moment.
"""

import asyncio
import fnmatch
import logging
import mmap
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

FILES = "connections_*"

# What a worker may hold beyond another: some, and a part of that. With less, clients that make a connection
# for each request would wait, and many at once would take long.
SLACK, SLACK_SHARE = 2, 1 / 8
LEFT_ALONE_S = 0.001
RETRY_S = 1.0  # where there is no descriptor to listen with
LOOK_S = 0.1  # between looks which workers there are

MANY = 2**31  # more than there can be: of a worker that is to get no more

_NUMBER = struct.Struct("q")


def file_of(folder: Path, pid: int) -> Path:
    return folder / FILES.replace("*", str(pid))


class Counts:
    """How many connections this worker and the others hold: a file of one number each, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = file_of(folder, os.getpid())
        try:
            self._path.write_bytes(_NUMBER.pack(0))
            self._own = _mapped(self._path)
        except OSError as error:  # it serves nevertheless
            logger.warning("connections are not shared out evenly: %s", error)
            self._own = mmap.mmap(-1, _NUMBER.size)
        self._others: dict[Path, mmap.mmap] = {}
        self._looked = -LOOK_S

    def tell(self, held: int) -> None:
        _NUMBER.pack_into(self._own, 0, held)

    def end(self) -> None:
        self.tell(MANY)
        with suppress(OSError):
            self._path.unlink()

    def fewest(self) -> int:
        """The fewest connections that another worker holds."""
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            self._looked = now
            self._look()
        return min((_NUMBER.unpack_from(other)[0] for other in self._others.values()), default=MANY)

    def _look(self) -> None:
        try:
            names = fnmatch.filter(os.listdir(self._folder), FILES)
        except OSError:  # no descriptor is left to look with: what was known stands
            return
        found = {self._folder / name for name in names} - {self._path}
        self._others = {path: other for path, other in self._others.items() if path in found}
        for path in found - set(self._others):
            with suppress(OSError, ValueError):  # it has just ended, or has not written yet
                self._others[path] = _mapped(path)


def _mapped(path: Path) -> mmap.mmap:
    """Raises OSError or, where the file is too short, ValueError."""
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), _NUMBER.size)


class Held(set[Any]):
    """uvicorn's connections of a server; `changed` is called whenever there are more or fewer."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed

    def add(self, connection: Any) -> None:
        super().add(connection)
        self._changed()

    def discard(self, connection: Any) -> None:
        super().discard(connection)
        self._changed()


class SharedListeners:
    """Listens as one of several workers. While it is ahead of another it does not, for a moment each time.

    It is to be told of connections by the set of them, `held`; and closed as a server of asyncio is.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        counts: Counts,
        serve: Callable[[socket.socket], Awaitable[asyncio.AbstractServer]],
    ) -> None:
        """`serve` takes connections from a listener, which the server that it returns will close."""
        self.held = Held(self._changed)
        self._listeners = listeners
        self._counts = counts
        self._serve = serve
        self._servers: list[asyncio.AbstractServer] = []
        self._leaving = self._closed = False
        self._resting: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Raises OSError."""
        for listener in self._listeners:
            self._servers.append(await self._serve(listener.dup()))
        if self._closed:
            self._stop_listening()

    def leave(self) -> None:
        """Take only what no other worker does."""
        self._leaving = True
        self._changed()

    def close(self) -> None:
        self._closed = self._leaving = True
        self._stop_listening()
        self._counts.end()

    async def wait_closed(self) -> None:
        """Nothing is left to wait for: uvicorn waits for the connections themselves."""

    def _changed(self) -> None:
        self._counts.tell(self._holds())
        if self._servers and not self._resting and self._is_ahead():
            self._resting = asyncio.get_running_loop().create_task(self._rest())
            self._resting.add_done_callback(self._rested)

    async def _rest(self) -> None:
        self._stop_listening()
        seconds = LEFT_ALONE_S
        while not self._servers:
            await asyncio.sleep(seconds)
            if self._closed:
                return
            try:
                await self.listen()
            except OSError as error:
                logger.error("no connection can be taken: %s", error.strerror)
                self._stop_listening()
                seconds = RETRY_S

    def _rested(self, _: asyncio.Task[None]) -> None:
        self._resting = None

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    def _holds(self) -> int:
        return MANY if self._leaving else len(self.held)

    def _is_ahead(self) -> bool:
        fewest = self._counts.fewest()
        return self._holds() > fewest + SLACK + int(SLACK_SHARE * fewest)
