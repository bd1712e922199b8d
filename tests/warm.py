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

ROOT = Path(__file__).parent.parent
LIBRARIES = ("torch", "fastapi", "uvicorn", "typer", "PIL.Image", "httptools", "uvloop")

_MOST_BYTES = 1 << 17  # of a request, which holds an environment
_alone = Lock()


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
    with log.open("ab") as file:
        pid = _told({"words": words, "environment": environment}, [1, file.fileno()])
    assert pid is not None
    return Copy(pid)


def _told(request: dict[str, object], outputs: Sequence[int] = ()) -> int | None:
    with _alone:
        _, link = _first()
        socket.send_fds(link, [json.dumps(request).encode()], outputs)
        answer: int | None = json.loads(link.recv(_MOST_BYTES))
    return answer


@cache
def _first() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process that is copied, and a link to it. It ends when this one does: the link is closed then."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # no thread, for none would be copied
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    return process, ours


def _serve(link: socket.socket) -> None:
    while True:
        message, outputs, *_ = socket.recv_fds(link, _MOST_BYTES, 2)
        if not message:
            return
        request = json.loads(message)
        if "ended" in request:
            pid, status = os.waitpid(request["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if not answer:
                link.close()
                _become(outputs, **request)
            for output in outputs:
                os.close(output)
        link.send(json.dumps(answer).encode())


def _become(outputs: list[int], words: list[str], environment: dict[str, str]) -> None:
    os.setsid()
    for number, output in enumerate(outputs, start=1):
        os.dup2(output, number)
        os.close(output)
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
    _serve(socket.socket(fileno=int(sys.argv[1])))
