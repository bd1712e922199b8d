"""The server in a worker: says that it lives, and does as it is told."""

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.connections.sharing import Counts, SharedListeners
from service.server import Preloaded, Server, configuration
from service.settings import KeyContents, Settings
from service.workers.stages import ALIVE, ASKED_TO_STOP, READY, Stage
from service.workers.supervisor import MARGIN_S


class WorkerServer(Server):
    def __init__(
        self,
        settings: Settings,
        metrics_folder: Path,
        keys: KeyContents,
        preloaded: Preloaded | None,
        link: socket.socket,
    ) -> None:
        configured = configuration(settings, str(metrics_folder), keys, preloaded)
        super().__init__(configured, on_serving=lambda: self._say(READY))
        self._link = link
        self._folder = metrics_folder
        self._shared: SharedListeners | None = None
        self._stop_s = settings.stop_s

    async def listen(self, sockets: list[socket.socket]) -> list[Any]:
        self._shared = SharedListeners(sockets, Counts(self._folder), self.take_from)
        self.server_state.connections = self._shared.held
        await self._shared.listen()
        return [self._shared]

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # once a second
            self._say(ALIVE)
        return await super().on_tick(counter)

    def listen_to_orders(self) -> None:
        with suppress(ConnectionResetError):
            while stages := self._link.recv(16):
                for stage in stages:
                    self._soon(Stage(stage))
        if not self.started:
            os._exit(0)
        # Nobody is left who would end a process that hangs: the system does.
        signal.alarm(self._stop_s + MARGIN_S)
        self._soon(Stage.LEAVE)

    def listen_to_signals(self) -> None:
        while True:
            signal.sigwait([signal.SIGTERM])
            self._say(ASKED_TO_STOP)

    def _soon(self, stage: Stage) -> None:
        with suppress(RuntimeError):  # the loop is closed: all is done
            self.loop.call_soon_threadsafe(self._obey, stage)

    def _obey(self, stage: Stage) -> None:
        handler = signal.getsignal(signal.SIGTERM)
        if stage == Stage.DRAIN and callable(handler):
            if self._shared:
                self._shared.leave()
            handler(signal.SIGTERM, None)  # `draining` has its own while the application runs
        elif stage == Stage.CUT_OFF:
            os._exit(0)
        else:
            self.leave()

    def _say(self, word: bytes) -> None:
        with suppress(OSError):  # nobody is there, or nobody listens
            self._link.send(word, socket.MSG_DONTWAIT)
