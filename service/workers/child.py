"""A worker process, as the process that watches over it sees it."""

import socket
from contextlib import suppress
from dataclasses import dataclass

from service.starting import blocked
from service.workers.launching import Launcher, Process
from service.workers.stages import SIGNALS, Stage


@dataclass(eq=False)
class Worker:
    """A process, and our end of its socket."""

    process: Process
    pid: int
    link: socket.socket
    ready: bool = False
    outdated: bool = False  # it serves until another is ready in its place
    told: Stage = Stage.SERVE
    waited_s: float = 0  # for whatever is expected of it next
    killed: bool = False
    silent: bool = False  # its end of the socket is closed: it is about to be gone

    def tell(self, stage: Stage) -> None:
        if stage > self.told:
            self.told, self.waited_s = stage, 0
            if self.ready:
                with suppress(OSError):  # it has just ended
                    self.link.send(bytes([stage]))
            else:
                self.kill()  # it holds nothing

    def kill(self) -> None:
        self.killed = True
        self.process.kill()

    def hear(self) -> bytes:
        """What it has said since."""
        try:
            said = self.link.recv(4096)
        except BlockingIOError:
            return b""
        except OSError:
            said = b""
        self.silent = not said
        return said


def launched(launcher: Launcher) -> Worker:
    """Raises OSError."""
    ours, theirs = socket.socketpair()
    try:
        with theirs, blocked(*SIGNALS):
            process = launcher.launch(theirs)
    except OSError:
        ours.close()
        raise
    assert process.pid is not None
    ours.setblocking(False)
    return Worker(process, process.pid, ours)
