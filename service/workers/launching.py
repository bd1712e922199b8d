"""How worker processes come to be: what the process that watches over them asks for."""

import multiprocessing
import socket
from collections.abc import Callable, Sequence
from multiprocessing import resource_tracker
from typing import Any, Protocol


class CannotLaunch(Exception):
    """No worker can be started in the way that was asked for; the message says why."""


class Process(Protocol):
    """As of multiprocessing, whose own are such, or one that was adopted."""

    @property
    def pid(self) -> int | None: ...

    @property
    def sentinel(self) -> int:
        """A descriptor that is readable once it has ended."""
        ...

    @property
    def exitcode(self) -> int | None:
        """None: it runs. Negative: the signal that has ended it."""
        ...

    def kill(self) -> None: ...

    def join(self) -> None: ...

    def close(self) -> None: ...


class Launcher(Protocol):
    """Starts workers. `look` is called again and again, and whenever one of `awaited` is readable."""

    @property
    def is_ready(self) -> bool:
        """Whether a worker can be launched now."""
        ...

    @property
    def awaited(self) -> Sequence[Any]: ...

    def look(self, elapsed_s: float) -> None:
        """Raises CannotLaunch, or OSError where that may pass."""

    def launch(self, link: socket.socket) -> Process:
        """A worker at that end of a socket. Raises OSError."""
        ...

    def renew(self) -> None:
        """Workers that are launched from now on share nothing with those that there are."""

    def end(self) -> None:
        """Launch none any more."""


Work = Callable[..., None]


def start_tracker() -> None:
    """Start multiprocessing's own: started later it would unblock signals that are to stay blocked."""
    resource_tracker.ensure_running()


class Spawning:
    """Each worker is a new process, which imports and loads all that it needs."""

    is_ready = True
    awaited = ()

    def __init__(self, work: Work, arguments: Callable[[socket.socket], tuple[Any, ...]]) -> None:
        """`work` is called with what `arguments` makes of a worker's socket."""
        start_tracker()
        self._work = work
        self._arguments = arguments

    def look(self, elapsed_s: float) -> None:
        pass

    def launch(self, link: socket.socket) -> Process:
        process = multiprocessing.get_context("spawn").Process(
            target=self._work, args=self._arguments(link)
        )
        process.start()
        return process

    def renew(self) -> None:
        pass

    def end(self) -> None:
        pass
