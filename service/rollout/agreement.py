"""What requests load and unload is so in every worker: one writes it down, and has all of them look.

They are at sockets in the folder that they share. A worker that starts reads there what is unloaded, and
each looks now and then: one that was not reached, or did not answer, takes it up later.
"""

import asyncio
import fnmatch
import json
import os
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from service.errors import NotReady, ServiceError
from service.rollout.reload import Reloader
from service.rollout.unloaded import SOCKETS, Unloaded, socket_of
from service.serving.registry import Registry

# So long a worker that serves may take to let a model go; one that loads it has that time beside its own.
ANSWER_S = 5.0


class Agreement:
    """The repository that requests change, of several workers that have `unloaded` in common."""

    def __init__(
        self, unloaded: Unloaded, reloader: Reloader, registry: Registry, load_timeout_s: float
    ) -> None:
        self._folder = unloaded.folder
        self._unloaded = unloaded
        self._reloader = reloader
        self._registry = registry
        self._load_s = load_timeout_s + ANSWER_S

    async def load(self, name: str) -> None:
        """Serve it again, everywhere. Raises UnknownModel, or NotReady, which says why not."""
        self._registry.live(name)
        with _written_down(name):
            self._unloaded.discard(name)
        await self._everywhere(name, self._load_s)

    async def unload(self, name: str) -> None:
        """Serve it nowhere any longer. Raises UnknownModel or NotReady."""
        self._registry.live(name)
        with _written_down(name):
            self._unloaded.add(name)
        await self._everywhere(name, ANSWER_S)

    @asynccontextmanager
    async def kept(self, every_s: float) -> AsyncIterator[None]:
        """Do as the others say while the block lasts; look by itself too."""
        own = self._own
        own.unlink(missing_ok=True)  # of a process that had the same number
        server = await asyncio.start_unix_server(self._asked, own)
        looking = asyncio.create_task(self._keep_looking(every_s))
        try:
            yield
        finally:
            looking.cancel()
            server.close()
            own.unlink(missing_ok=True)

    @property
    def _own(self) -> Path:
        return socket_of(self._folder, os.getpid())

    async def _everywhere(self, name: str, within_s: float) -> None:
        with _written_down(name):
            sockets = fnmatch.filter(os.listdir(self._folder), SOCKETS)
        others = [self._folder / each for each in sockets if each != self._own.name]
        asked = [_answer(path, name, within_s) for path in others]
        for obstacle in filter(None, await asyncio.gather(self._obstacle(name), *asked)):
            raise NotReady(obstacle)

    async def _asked(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError):  # who has asked is gone
            name = (await reader.readline()).decode().strip()
            writer.write(json.dumps(await self._obstacle(name)).encode())
            await writer.drain()
        writer.close()

    async def _obstacle(self, name: str) -> str:
        """Do what is written down; what stands in the way of it."""
        try:
            await self._agree(name)
        except ServiceError as error:
            return str(error)
        return ""

    async def _agree(self, name: str) -> None:
        if not self._registry.knows(name):  # not yet: it is looked up when it comes
            return
        if name not in self._unloaded:
            await self._reloader.load(name)
        elif not self._registry.state(name).unloaded:
            await self._reloader.unload(name)

    async def _keep_looking(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            with suppress(OSError):  # no descriptor is left to look with: there is a next time
                await self._look()

    async def _look(self) -> None:
        """Raises OSError."""
        unloaded = set(self._unloaded)
        for name in self._registry.names:
            if (name in unloaded) != self._registry.state(name).unloaded:
                await self._obstacle(name)


async def _answer(path: Path, name: str, within_s: float) -> str:
    """What stands in the way in the worker at this socket. Nothing: it is done, or there is no worker."""
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(f"{name}\n".encode())
                return str(json.loads(await reader.read() or '""'))
            finally:
                writer.close()
    except (FileNotFoundError, ConnectionError):  # it has ended; the next one reads what is written down
        return ""
    except OSError:  # TimeoutError is one
        return f"Another worker has not answered within {within_s:g} s; it follows as soon as it can."


@contextmanager
def _written_down(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotReady(f"Whether {name!r} is unloaded cannot be written down: {error.strerror}.") from error
