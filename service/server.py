"""uvicorn around the application: one process that serves, or one that watches over several that do."""

import gc
import logging
import os
import signal
import sys
from asyncio import Protocol
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from service.logs import log_config
from service.settings import Settings, unknown_variables

logger = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until a signal ends it. Exits with uvicorn's code when the application cannot start."""
    with TemporaryDirectory(prefix="abacus-metrics-") as folder:
        if settings.workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # prometheus_client reads it in every worker
        config = uvicorn.Config(
            partial(application, settings, folder if settings.workers > 1 else None),
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            timeout_keep_alive=settings.keep_alive_s,
            timeout_graceful_shutdown=settings.stop_s,
            access_log=False,  # middleware.py writes it, with the request's id
            proxy_headers=False,  # nothing here depends on the client's address
            http=cast(type[Protocol], connection),
            ws="none",
            log_config=log_config(settings.log_format, settings.log_level),
            server_header=False,
        )
        for remark in unknown_variables():
            logger.warning(remark)
        if settings.workers > 1:
            Multiprocess(config, sockets=[config.bind_socket()]).run()
            return
        # uvicorn raises the signal that stopped it once more when all is done: a stop is a success.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        server = uvicorn.Server(config)
        server.run()
        sys.exit(0 if server.started else 3)


def connection(**arguments: Any) -> Protocol:
    """One connection's protocol. Imported when there is one, for the reason below."""
    from service.direct_connection import DirectConnection

    return DirectConnection(**arguments)


def application(settings: Settings, metrics_folder: str | None) -> ASGIApp:
    # Nothing that imports and models make is garbage, and looking for it takes a tenth of the start;
    # `app` turns it on again when it is ready.
    gc.disable()
    # Imported here: the process that only watches over workers then never holds torch, 400 MB of it.
    from service.app import create_app

    return create_app(settings, metrics_folder)
