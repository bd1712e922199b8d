"""Watches over worker processes: replaces those that end or hang, and stops them all in order.

Each is at the other end of a socket. It says there when it is ready and, from its event loop, once a second
that it lives; it is told there how far its stop has come. When either process ends, the other knows by it.
"""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from typing import NamedTuple

from service.workers.adopted import bury_strangers
from service.workers.child import Worker, launched
from service.workers.launching import CannotLaunch, Launcher
from service.workers.metrics_folder import MetricsFolder
from service.workers.stages import ASKED_TO_STOP, READY, Stage, caught

logger = logging.getLogger(__name__)

TICK_S = 0.5
MARGIN_S = 10  # beyond what a stop may take, before a worker is killed
LONGEST_PAUSE_S = 30  # between starts that fail
FIRST_STARTS = 3  # of each worker, before it is given up that any will start
STARTUP_FAILURE = 3  # uvicorn's exit code where the application cannot start: trying again changes nothing


class Limits(NamedTuple):
    """Seconds that a worker has to be ready, to be heard of, to go on answering, and to stop."""

    start_s: float
    silence_s: float
    drain_s: float
    stop_s: float
    margin_s: float = MARGIN_S


class Supervisor:
    """`on_serving` is called once a worker is ready."""

    def __init__(
        self,
        launcher: Launcher,
        workers: int,
        limits: Limits,
        folder: MetricsFolder,
        on_serving: Callable[[], None],
        on_stop: Callable[[], None],
        on_restart: Callable[[], None],
    ) -> None:
        self._launcher = launcher
        self._wanted = workers
        self._limits = limits
        self._folder = folder
        self._on_serving = on_serving
        self._on_stop = on_stop
        self._on_restart = on_restart
        self._workers: list[Worker] = []
        self._stage = Stage.SERVE
        self._served = False
        self._failed_starts = 0
        self._pause_until = 0.0
        self._code = 0

    def run(self) -> int:
        """Until a signal ends it, or no worker starts. Returns the exit code."""
        logger.info("process %d watches over %d workers", os.getpid(), self._wanted)
        with caught() as signals:
            try:
                before, elapsed = time.monotonic(), 0.0
                while self._workers or self._stage == Stage.SERVE:
                    self._look_after_launcher(elapsed)
                    self._fill()
                    ends = [worker.process.sentinel for worker in self._workers]
                    links = [worker.link for worker in self._workers if not worker.silent]
                    wait([signals, *ends, *links, *self._launcher.awaited], TICK_S)
                    # Time in which we did not run ourselves, as a machine that sleeps, is nobody's silence.
                    now = time.monotonic()
                    elapsed, before = min(now - before, 2 * TICK_S), now
                    # Signals come last: who has said meanwhile that it is ready may hold requests.
                    for worker in tuple(self._workers):
                        self._look_after(worker, elapsed)
                    self._obey(signals)
                    bury_strangers({worker.pid for worker in self._workers})
                    self._folder.keep_ahead()
            finally:
                self._launcher.end()
                for worker in self._workers:
                    worker.kill()
        return self._code

    def _fill(self) -> None:
        if self._stage != Stage.SERVE or time.monotonic() < self._pause_until:
            return
        if not self._launcher.is_ready:
            return
        serving = self._serving()
        missing = self._wanted - len(serving)
        if not missing and any(worker.outdated for worker in serving):
            missing = 1  # beside the old one, which leaves when this one is ready
        for _ in range(missing):
            self._start()

    def _look_after_launcher(self, elapsed: float) -> None:
        if self._stage != Stage.SERVE:
            self._launcher.end()
            return
        if time.monotonic() < self._pause_until and not self._launcher.awaited:
            return
        try:
            self._launcher.look(elapsed)
        except CannotLaunch as error:
            logger.error("%s", error)
            self._failed(STARTUP_FAILURE)
        except OSError as error:
            self._fail_to_start(error)

    def _serving(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.told == Stage.SERVE]

    def _start(self) -> None:
        try:
            worker = launched(self._launcher)
        except OSError as error:
            self._fail_to_start(error)
            return
        self._workers.append(worker)
        try:
            self._folder.hand_over(worker.pid)
        except OSError as error:
            logger.error("worker %d has no room for its metrics: %s", worker.pid, error)
            worker.kill()
            return
        with suppress(OSError):
            worker.link.send(bytes([Stage.SERVE]))

    def _fail_to_start(self, error: OSError) -> None:
        logger.error("no worker can be started: %s", error)
        self._failed()

    def _obey(self, signals: socket.socket) -> None:
        with suppress(BlockingIOError):
            for number in signals.recv(64):
                if number == signal.SIGHUP:
                    logger.info("SIGHUP: one worker after the other is replaced")
                    self._launcher.renew()
                    for worker in self._workers:
                        worker.outdated = True
                else:
                    name = signal.Signals(number)
                    self._stop(self._stage.after(name), name.name)

    def _stop(self, stage: Stage, why: str) -> None:
        if stage > self._stage:
            logger.info("%s: stopping (%s)", why, stage.name.lower().replace("_", " "))
            self._stage = stage
            self._on_stop()
        for worker in self._workers:
            worker.tell(stage)

    def _look_after(self, worker: Worker, elapsed: float) -> None:
        said = worker.hear()
        worker.waited_s += elapsed
        if said and worker.told == Stage.SERVE:
            if READY in said:
                self._welcome(worker)
            if ASKED_TO_STOP in said:
                worker.outdated = True
            worker.waited_s = 0
        if worker.process.exitcode is not None:
            self._bury(worker)
        elif not worker.killed:
            self._judge(worker)

    def _welcome(self, worker: Worker) -> None:
        logger.info("worker %d is ready after %.1f s", worker.pid, worker.waited_s)
        worker.ready = True
        self._failed_starts = 0
        if not self._served:
            self._served = True
            self._on_serving()
        serving = self._serving()
        outdated = [other for other in serving if other.outdated]
        if outdated and len(serving) > self._wanted:
            outdated[0].tell(Stage.DRAIN)

    def _judge(self, worker: Worker) -> None:
        limits = self._limits
        allowed, fault = {
            Stage.SERVE: (limits.silence_s, "has not answered"),
            Stage.DRAIN: (limits.drain_s + limits.stop_s + limits.margin_s, "has not stopped"),
            Stage.LEAVE: (limits.stop_s + limits.margin_s, "has not stopped"),
            Stage.CUT_OFF: (limits.margin_s, "has not stopped"),
        }[worker.told]
        if not worker.ready:
            allowed, fault = limits.start_s, "was not ready"
        if worker.waited_s > allowed:
            logger.error("worker %d %s for %.0f s: it is killed", worker.pid, fault, worker.waited_s)
            worker.kill()

    def _bury(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.link.close()
        code = worker.process.exitcode
        worker.process.join()
        worker.process.close()
        self._folder.bury(worker.pid)
        ended = _described(code)
        if worker.told != Stage.SERVE:
            logger.info("worker %d %s", worker.pid, ended)
            if worker.ready and code and self._stage:
                self._code = 1
            return
        logger.error("worker %d %s%s", worker.pid, ended, "" if worker.ready else " before it was ready")
        self._on_restart()
        if not worker.ready:
            self._failed(code)

    def _failed(self, code: int | None = None) -> None:
        """A start has: the next one waits, or there is none."""
        self._failed_starts += 1
        hopeless = code == STARTUP_FAILURE or self._failed_starts >= FIRST_STARTS * self._wanted
        if hopeless and not self._served:
            logger.error("no worker could start")
            self._code = STARTUP_FAILURE
            self._stop(Stage.CUT_OFF, "giving up")
            return
        pause_s = min(2 ** ((self._failed_starts - 1) // self._wanted), LONGEST_PAUSE_S)
        self._pause_until = time.monotonic() + pause_s
        logger.info("%d start(s) in a row failed, the next one is in %d s", self._failed_starts, pause_s)


def _described(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
