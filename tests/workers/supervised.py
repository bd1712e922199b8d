"""`python -m tests.workers.supervised WAY FOLDER`: the real supervisor, over two workers that do one thing.

Each worker writes its number (0, 1, …, in the order of their start) to stderr with what it does.
"""

import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

from service.workers.launching import Spawning
from service.workers.metrics_folder import MetricsFolder
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


def main(way: str, folder: str) -> int:
    logging.basicConfig(level="INFO", format="%(message)s")
    started = 0

    def arguments(link: socket.socket) -> tuple[socket.socket, str, int]:
        nonlocal started
        started += 1
        return link, way, started - 1

    return Supervisor(
        Spawning(work, arguments),
        workers=2,
        limits=SHORT.get(way, LIMITS),
        folder=MetricsFolder(Path(folder)),
        on_serving=lambda: say("serving"),
        on_stop=lambda: say("stopping"),
        on_restart=lambda: say("restart"),
    ).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
