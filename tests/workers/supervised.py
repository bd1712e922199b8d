"""`python -m tests.workers.supervised WAY FOLDER`: the real supervisor, over two workers that do one thing.

Each worker writes its number (0, 1, …, in the order of their start) to stderr with what it does.
"""

import errno
import logging
import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from service.workers.launching import Spawning
from service.workers.metrics_folder import MetricsFolder
from service.workers.nursery import Ready
from service.workers.stages import ALIVE, READY, SIGNALS, Stage
from service.workers.supervisor import Limits, Supervisor

LIMITS = Limits(start_s=60, silence_s=60, drain_s=0, stop_s=1, margin_s=60)
# Only where the limit is what is looked at: on a busy machine anybody may be late.
SHORT = {
    "slow-start": LIMITS._replace(start_s=12),
    "hangs": LIMITS._replace(silence_s=10),
    "sleeps": LIMITS._replace(silence_s=8),
    "deaf": LIMITS._replace(margin_s=4),
}


def work(link: socket.socket, way: str, number: int) -> None:
    """The first two do what is asked for, what comes after them serves."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    assert link.recv(1) == bytes([Stage.SERVE])
    spoilt = number < 2
    if way == "never" or (way == "fails-later" and number in (2, 3)):
        sys.exit(1)
    if way == "broken":
        sys.exit(3)
    if way == "slow-start":
        time.sleep(1 if number != 1 else 600)
    if way == "ready-late":
        say(f"worker {number} begins")
        time.sleep(1)
    link.send(READY)
    say(f"worker {number} is there")
    if way == "hangs" and number == 1:
        time.sleep(600)
    if way == "fails-later" and spoilt:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "deaf" and spoilt:
        time.sleep(600)
    link.settimeout(0.5)
    while True:
        try:
            told = link.recv(16)
        except TimeoutError:
            link.send(ALIVE)
            continue
        say(f"worker {number} told {list(told)}")
        if not told or told[-1] >= (Stage.LEAVE if way == "waits" else Stage.DRAIN):
            return


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def ends_when_ready(_settings: object, _listeners: object, orders: Connection, *_: object) -> None:
    """In the place of `nurse`."""
    orders.send(Ready(0))


class Crowded(Spawning):
    """After SIGHUP there is no process left for it at the first look, and no descriptor at the second."""

    looks = 3

    def renew(self) -> None:
        self.looks = 0

    def look(self, elapsed_s: float) -> None:
        super().look(elapsed_s)
        self.looks += 1
        if self.looks <= 3:
            say(f"look at {time.monotonic()}")
        if self.looks == 1:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        if self.looks == 2:
            self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, self._limits[1]))
            self._taken: list[int] = []
            with suppress(OSError):
                while True:
                    self._taken.append(os.dup(0))
        if self.looks == 3:
            for descriptor in self._taken:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)


def main(way: str, folder: str) -> int:
    logging.basicConfig(level="INFO", format="%(message)s")
    started = 0

    def arguments(link: socket.socket) -> tuple[socket.socket, str, int]:
        nonlocal started
        started += 1
        return link, way, started - 1

    return Supervisor(
        (Crowded if way == "crowded" else Spawning)(work, arguments),
        workers=2,
        limits=SHORT.get(way, LIMITS),
        folder=MetricsFolder(Path(folder)),
        on_serving=lambda: say("serving"),
        on_stop=lambda: say("stopping"),
        on_restart=lambda: say("restart"),
    ).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
