"""A server as a process: started, awaited, measured with all its children, stopped."""

import os
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx
import psutil

POLL_S = 0.01
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 15.0


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """User and system time that they have used. Raises psutil.NoSuchProcess."""
    times = [process.cpu_times() for process in processes]
    return float(sum(t.user + t.system for t in times))


class NotStarted(Exception):
    """The server ended or never became ready; the message has the end of its log."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def peak_memory_bytes(pid: int) -> int:
    """The highest resident set of a process; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


class Running:
    """A context: the process runs inside it, and nothing of its tree is left behind."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        ready_url: str,
        log: Path,
        ready_within_s: float = READY_WITHIN_S,
    ) -> None:
        self._command = command
        self._environment = {**os.environ, **environment}
        self._ready_url = ready_url
        self._log = log
        self._ready_within_s = ready_within_s
        self.seconds_to_ready = 0.0

    def __enter__(self) -> Self:
        started = time.perf_counter()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            while not self._ready():
                waited = time.perf_counter() - started
                if self._process.poll() is not None or waited > self._ready_within_s:
                    tail = self._log.read_text(errors="replace")[-1500:]
                    raise NotStarted(f"not ready after {waited:.0f} s:\n{tail}")
                time.sleep(POLL_S)
        except BaseException:
            self.__exit__()
            raise
        self.seconds_to_ready = time.perf_counter() - started
        return self

    def __exit__(self, *_: object) -> None:
        tree = self._tree()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_WITHIN_S)
        for process in tree:  # whoever is left, in this session or out of it
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def cpu_seconds(self) -> float:
        """User and system time that the processes of the tree have used."""
        return cpu_seconds(self._tree())

    def peak_memory_bytes(self) -> int:
        """The sum of the processes' highest resident sets; pages that they share count in each."""
        return sum(peak_memory_bytes(process.pid) for process in self._tree())

    def proportional_memory_bytes(self) -> int:
        """The sum of the proportional set sizes: a page shared by n processes counts 1/n in each."""
        return sum(process.memory_full_info().pss for process in self._tree())

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _ready(self) -> bool:
        try:
            return httpx.get(self._ready_url, timeout=2).status_code == 200
        except httpx.TransportError:
            return False
