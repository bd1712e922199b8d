"""uvicorn around the application."""

import asyncio
import atexit
import gc
import logging
import os
import signal
import socket
import sys
from asyncio import Protocol
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, TypeAlias, cast

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from service.connections.listening import is_listening, opened
from service.http.draining import LEAVING
from service.http.logs import log_config
from service.settings import KeyContents, Settings

# Of service.serving.loading, which brings torch: the process that watches over workers never holds it.
Preloaded: TypeAlias = Any

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Exits with 0 when it is asked to stop: at once while it starts, afterwards once all is answered."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, config: uvicorn.Config, on_serving: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_serving = on_serving

    def serve_from(self, listeners: list[socket.socket]) -> None:
        """Serve until a stop. Exits with uvicorn's code where the application cannot start."""
        self.run(sockets=listeners)
        sys.exit(0 if self.started else STARTUP_FAILURE)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        addresses = [listener.getsockname() for listener in sockets or []]
        # Another may have bound an address as well, while it was free, and have been the first to listen.
        # asyncio raises then; uvloop closes the socket and says nothing.
        with suppress(OSError):
            await super().startup([])
            self.servers = await self.listen(sockets or [])
        if not all(map(is_listening, sockets or [])):
            logger.error("cannot listen on %s: others were quicker", ", ".join(map(str, addresses)))
            await self.lifespan.shutdown()
            sys.exit(STARTUP_FAILURE)
        self._on_serving()

    async def listen(self, sockets: list[socket.socket]) -> list[Any]:
        """Returns what is to be closed when no more connections are taken. Raises OSError."""
        return [await self.take_from(listener) for listener in sockets]

    async def take_from(self, listener: socket.socket) -> asyncio.AbstractServer:
        """Take connections from it. Raises OSError."""
        backlog = self.config.backlog
        return await self.loop.create_server(self._protocol, sock=opened(listener), backlog=backlog)

    def _protocol(self) -> Protocol:
        """The protocol of one new connection."""
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Unlike uvicorn's, it does not note the signal, to raise it once more when all is done."""
        del frame
        if not self.started or (self.should_exit and sig == signal.SIGINT):
            os._exit(0)
        self.leave()

    def leave(self) -> None:
        """Take no more connections, and finish what is in flight; gRPC does so at the same time."""
        self.should_exit = True
        if leaving := self.lifespan.state.get(LEAVING):
            self.loop.call_soon_threadsafe(leaving.set)


def configuration(
    settings: Settings, metrics_folder: str | None, keys: KeyContents, preloaded: Preloaded | None = None
) -> uvicorn.Config:
    return uvicorn.Config(
        partial(application, settings, metrics_folder, keys, preloaded),
        factory=True,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.stop_s,
        access_log=False,  # middleware.py writes it, with the request's id
        proxy_headers=False,  # nothing here depends on the client's address
        http=cast(type[Protocol], connection),
        ws="none",
        log_config=log_config(settings.log_format, settings.log_level),
        server_header=False,
    )


def connection(**arguments: Any) -> Protocol:
    """One connection's protocol. Imported when there is one, for the reason below."""
    from service.fast_path.connection import FastPathConnection

    return FastPathConnection(**arguments)


def application(
    settings: Settings, metrics_folder: str | None, keys: KeyContents, preloaded: Preloaded | None
) -> ASGIApp:
    # Nothing that imports and models make is garbage, and looking for it takes a tenth of the start;
    # `lifespan` turns it on again when it is ready.
    gc.disable()
    # Imported here: the process that only watches over workers then never holds torch, 400 MB of it.
    from service.app import create_app

    app = create_app(settings, metrics_folder, keys, preloaded)
    atexit.register(_leave, app)
    return app


def _leave(app: FastAPI) -> None:
    """End the process without more ado where a thread is left that computes for ever.

    All else has stopped in order; the interpreter's own end would free what that thread computes with.
    """
    if app.state.stuck:
        os._exit(0)
