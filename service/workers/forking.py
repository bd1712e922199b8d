"""Workers that are copies of one process, the nursery, as the process that watches over them sees it."""

import logging
import multiprocessing
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any, NamedTuple

from service.settings import KeyContents, Settings
from service.starting import blocked
from service.workers.adopted import Adopted
from service.workers.launching import CannotLaunch, Process, Spawning, start_tracker
from service.workers.nursery import Born, Loading, Ready, Refused, nurse
from service.workers.stages import SIGNALS

logger = logging.getLogger(__name__)

BIRTH_S = 10.0  # that a copy may take, on the busiest of machines
# That the store, or one model, may take in the nursery: as long as a start waits for all of them.
LOADING_S = 30.0


class _Nursery(NamedTuple):
    process: BaseProcess
    orders: Connection


class Forking:
    """Has a nursery, and another one where it ends. Where there can be none, `otherwise` starts workers.

    A model that ends the nursery, or that it does not get ready, is loaded by every worker: all are.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: list[socket.socket],
        folder: Path,
        keys: Callable[[], KeyContents],
        otherwise: Spawning | None,
    ) -> None:
        """Without `otherwise` there are no workers where there can be no nursery."""
        start_tracker()
        self._settings = settings
        self._listeners = listeners
        self._folder = folder
        self._keys = keys
        self._otherwise = otherwise
        self._nursery: _Nursery | None = None
        self._with_models = True
        self._spawns = False
        self._loading: str | None = None
        self._waited_s = 0.0
        self._ready = False

    @property
    def is_ready(self) -> bool:
        return self._ready or self._spawns

    @property
    def awaited(self) -> Sequence[Any]:
        return (self._nursery.orders,) if self._nursery else ()

    def look(self, elapsed_s: float) -> None:
        """Raises CannotLaunch, or OSError where that may pass."""
        if self._spawns:
            return
        if self._nursery is None:
            self._start()
            return
        self._waited_s += elapsed_s
        self._hear(self._nursery)
        allowed_s = self._settings.worker_start_s
        if self._loading:
            allowed_s = min(self._settings.load_timeout_s, LOADING_S)
        if self._nursery and not self._ready and self._waited_s > allowed_s:
            self._fail(f"was not ready for {self._waited_s:.0f} s")

    def launch(self, link: socket.socket) -> Process:
        """Raises OSError."""
        if self._spawns:
            assert self._otherwise
            return self._otherwise.launch(link)
        assert self._nursery
        process, orders = self._nursery
        assert process.pid
        try:
            orders.send(self._keys())
            send_handle(orders, link.fileno(), process.pid)
            answer = orders.recv() if orders.poll(BIRTH_S) else Refused(f"no answer for {BIRTH_S:.0f} s")
        except EOFError:
            answer = Refused("the nursery has ended")
        except OSError as error:
            answer = Refused(str(error))
        if isinstance(answer, Born):
            return Adopted(answer.pid)
        self.end()
        raise OSError(answer.why)

    def renew(self) -> None:
        self._with_models, self._spawns = True, False
        self.end()

    def end(self) -> None:
        if self._nursery:
            process, orders = self._nursery
            process.kill()
            _wait_for_end_of(process)
            if process.exitcode is not None:  # else it waits for a mount that does not answer
                process.close()
            orders.close()
        self._nursery, self._ready = None, False

    def _start(self) -> None:
        ours, theirs = multiprocessing.Pipe()
        arguments = (self._settings, self._listeners, theirs, self._folder, self._keys())
        process = multiprocessing.get_context("spawn").Process(
            target=nurse, args=(*arguments, self._with_models, os.getpid())
        )
        self._loading, self._waited_s = None, 0
        with theirs, blocked(*SIGNALS):
            process.start()
        self._nursery = _Nursery(process, ours)

    def _hear(self, nursery: _Nursery) -> None:
        try:
            while nursery.orders.poll():
                self._obey(nursery.orders.recv())
                if self._nursery is not nursery:
                    return
        except (EOFError, OSError):
            _wait_for_end_of(nursery.process)
            self._fail(f"ended with exit code {nursery.process.exitcode}")

    def _obey(self, said: object) -> None:
        self._waited_s, self._loading = 0, None
        match said:
            case Loading(title):
                self._loading = title
            case Ready(models):
                self._ready = True
                logger.info("workers are copies of one process with %d model(s) in it", models)
            case Refused(why):
                self._give_up(why)

    def _fail(self, how: str) -> None:
        """Raises OSError where it was ready, or CannotLaunch."""
        was_ready, with_what = self._ready, f" while it loaded {self._loading}" if self._loading else ""
        failure = f"the process that workers are copies of {how}{with_what}"
        self.end()
        if was_ready:
            raise OSError(failure)
        logger.error("%s", failure)
        if self._with_models:
            self._with_models = False
        else:
            self._give_up(how)

    def _give_up(self, why: str) -> None:
        self.end()
        if not self._otherwise:
            raise CannotLaunch(f"--start-method fork: {why}.")
        logger.warning("each worker loads its own models (--start-method spawn): %s", why)
        self._spawns = True


def _wait_for_end_of(process: BaseProcess) -> None:
    """Not by multiprocessing's means: the pipe whose end tells it is also held by all copies."""
    assert process.pid is not None
    if process.exitcode is None:
        with suppress(OSError):  # there is no descriptor left: it is not waited for
            descriptor = os.pidfd_open(process.pid)
            wait([descriptor], BIRTH_S)
            os.close(descriptor)
