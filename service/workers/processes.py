"""One process that serves, or one that watches over several that do."""

import logging
import logging.config
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack

from service.artifacts.signatures import trusted_by
from service.connections.listening import AddressUnusable, bind, keep, port_of, url, written
from service.http.keys import KeyFile
from service.http.logs import log_config
from service.settings import KeyContents, Settings, unknown_variables
from service.workers.metrics_folder import check_sockets, metrics_folder
from service.workers.start_method import launcher_of
from service.workers.supervisor import Limits, Supervisor

logger = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until a signal ends it, then exit: 0 after a stop, 3 where the application cannot start.

    Until then signals mean what `stop_at_once` has made of them.
    Raises AddressUnusable, CannotLaunch, FolderUnusable, KeysUnreadable or KeyUnusable, before anything is
    loaded.
    """
    listeners = bind(settings.host, settings.port)
    kept: list[socket.socket] = []
    if settings.grpc_port is not None:
        if settings.grpc_port == port_of(listeners):
            address = written(settings.host, settings.grpc_port)
            raise AddressUnusable(f"cannot listen on {address}: HTTP and gRPC need a port each")
        kept = keep(settings.host, settings.grpc_port)  # as long as this process is there
        settings = settings.model_copy(update={"grpc_port": port_of(kept)})
    keys = _Keys(settings)
    logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
    for remark in unknown_variables():
        logger.warning(remark)
    if settings.workers > 1:
        _watch_over_workers(settings, listeners, keys)
    else:
        _serve_alone(settings, listeners, keys)


class _Keys:
    """The files of keys, read before anything is started. Raises KeysUnreadable or KeyUnusable."""

    def __init__(self, settings: Settings) -> None:
        self.api_keys = KeyFile(settings.api_keys_file) if settings.api_keys_file else None
        self._trusted = trusted_by(settings)

    def contents(self) -> KeyContents:
        """What a process that starts now goes by: API keys may have changed since, trusted keys do not."""
        return KeyContents(
            self.api_keys.content if self.api_keys else None,
            self._trusted.content if self._trusted else None,
        )


def _serve_alone(settings: Settings, listeners: list[socket.socket], keys: "_Keys") -> None:
    # Imported here: the process that watches over workers never holds what serves.
    from service.server import Server, configuration

    # The figures of one process are in its memory; prometheus_client would write them into this folder.
    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        os.environ.pop(name, None)
    signal.signal(signal.SIGQUIT, lambda *_: signal.raise_signal(signal.SIGINT))
    configured = configuration(settings, None, keys.contents())
    Server(configured, on_serving=lambda: _announce(settings, listeners)).serve_from(listeners)


def _watch_over_workers(settings: Settings, listeners: list[socket.socket], keys: "_Keys") -> None:
    with ExitStack() as held:
        folder = held.enter_context(metrics_folder(os.environ.get("PROMETHEUS_MULTIPROC_DIR")))
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(
            folder.path
        )  # prometheus_client reads it in every worker
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads start when NumPy is imported
        if settings.allow_repository_control:
            check_sockets(folder.path)
        if keys.api_keys:
            held.enter_context(keys.api_keys.kept_up(lambda: None))  # the workers count

        def close() -> None:
            for listener in listeners:
                listener.close()

        supervisor = Supervisor(
            launcher=launcher_of(settings, listeners, folder, keys.contents),
            workers=settings.workers,
            limits=Limits(
                settings.worker_start_s, settings.worker_silence_s, settings.drain_s, settings.stop_s
            ),
            folder=folder,
            on_serving=lambda: _announce(settings, listeners),
            on_stop=close,
            on_restart=_count_restarts(),
        )
        code = supervisor.run()
    sys.exit(code)


def _count_restarts() -> Callable[[], None]:
    # Imported here: it reads, as it is imported, that the figures of several processes are added up.
    from service.serving.metrics import worker_restarts

    return worker_restarts(None).inc


def _announce(settings: Settings, listeners: list[socket.socket]) -> None:
    logger.info("Uvicorn running on %s (Press CTRL+C to quit)", url(settings.host, listeners))
