"""A worker process: serves, and stops as the process that watches over it says.

Signals often reach a whole group of processes (Ctrl-C in a terminal, systemd), so here they are blocked:
the other process hears them, and tells what they mean through the socket. A SIGTERM to this process alone
is passed on to it.
"""

import signal
import socket
import threading
from pathlib import Path
from typing import Any, TypeAlias

from service.settings import KeyContents, Settings
from service.workers.prctl import rename
from service.workers.stages import SIGNALS

Preloaded: TypeAlias = Any  # of service.serving.loading, for the reason below


def work(
    settings: Settings,
    listeners: list[socket.socket],
    link: socket.socket,
    metrics_folder: Path,
    keys: KeyContents,
    preloaded: Preloaded | None = None,
) -> None:
    """Serve until told to stop, or until the other end of `link` is closed."""
    rename("abacus-worker")
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    if not link.recv(1):
        return
    # Imported here: the process that watches over workers never holds what serves.
    from service.workers.worker_server import WorkerServer

    server = WorkerServer(settings, metrics_folder, keys, preloaded, link)
    for target in (server.listen_to_orders, server.listen_to_signals):
        threading.Thread(target=target, name="orders", daemon=True).start()
    server.serve_from(listeners)
