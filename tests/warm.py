"""Processes that begin with the libraries imported, which is most of what it takes to start a service.

`python -m service` spends four seconds of processor time until it listens, three of them on importing torch
and FastAPI. Tests that run side by side start some hundred services: each is a copy of a process that has
imported the libraries and nothing of the service, and then runs as `python -m` runs it.
"""

import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import TextIO

ROOT = Path(__file__).parent.parent
LIBRARIES = ("torch", "fastapi", "uvicorn", "typer", "PIL.Image", "httptools", "uvloop")


class Copy:
    """A process begun by `start`; of `subprocess.Popen`, what tests of services ask for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = _told({"ended": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.poll() is None:
            ended = os.pidfd_open(self.pid)
            try:
                if not select.select([ended], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("a service", timeout or 0)
            finally:
                os.close(ended)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = subprocess.Popen[bytes] | Copy


def start(words: Sequence[str], environment: dict[str, str], log: Path) -> Copy:
    """As `python -m` with these words, in a session of its own, its standard error in `log`."""
    pid = _told({"words": words, "environment": environment, "log": str(log)})
    assert pid is not None
    return Copy(pid)


def _told(request: dict[str, object]) -> int | None:
    with _alone:
        _, link = _first()
        link.write(json.dumps(request) + "\n")
        link.flush()
        answer: int | None = json.loads(link.readline())
    return answer


_alone = Lock()


@cache
def _first() -> tuple[subprocess.Popen[bytes], TextIO]:
    """The process that is copied, and a link to it. It ends when this one does: the link is closed then."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # no thread, for none would be copied
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    return process, ours.makefile("rw")


def _serve(link: TextIO) -> None:
    for line in link:
        request = json.loads(line)
        if "ended" in request:
            pid, status = os.waitpid(request["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if not answer:
                link.close()
                _become(**request)
        link.write(json.dumps(answer) + "\n")
        link.flush()


def _become(words: list[str], environment: dict[str, str], log: str) -> None:
    os.setsid()
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 2)
    os.environ.clear()
    os.environ.update(environment)
    module, *options = words
    sys.argv = [module, *options]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    for library in LIBRARIES:
        import_module(library)
    assert len(os.listdir("/proc/self/task")) == 1, "a thread runs, and would be missing in every copy"
    _serve(socket.socket(fileno=int(sys.argv[1])).makefile("rw"))
