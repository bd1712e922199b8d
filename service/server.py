"""uvicorn around the application: one process that serves, or one that watches over several that do."""

import gc
import logging
import signal
import sys
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from service.settings import Settings


def run(settings: Settings) -> None:
    """Serve until a signal ends it. Exits with uvicorn's code when the application cannot start."""
    config = uvicorn.Config(
        partial(application, settings),
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        access_log=False,  # middleware.py writes it, with the request's id
        proxy_headers=False,  # nothing here depends on the client's address
        ws="none",
        log_config=_log_config(settings.log_level),
        server_header=False,
    )
    if settings.workers == 1:
        # uvicorn raises the signal that stopped it once more when all is done: a stop is a success.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        server = uvicorn.Server(config)
        server.run()
        sys.exit(0 if server.started else 3)
    Multiprocess(config, sockets=[config.bind_socket()]).run()


def application(settings: Settings) -> ASGIApp:
    # Nothing that imports and models make is garbage, and looking for it takes a tenth of the start;
    # `app` turns it on again when it is ready.
    gc.disable()
    # Imported here: the process that only watches over workers then never holds torch, 400 MB of it.
    from service.app import create_app

    return create_app(settings)


def _log_config(level: str) -> dict[str, Any]:
    """For logging.config.dictConfig; every worker process applies it when it starts."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": logging.getLevelName(level.upper())},
    }
