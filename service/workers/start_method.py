"""Which way workers are started: `--start-method`."""

import socket
import sys
from collections.abc import Callable
from typing import Any

from service.settings import KeyContents, Settings
from service.workers.forking import Forking
from service.workers.launching import CannotLaunch, Launcher, Spawning
from service.workers.metrics_folder import MetricsFolder
from service.workers.prctl import adopts_orphans
from service.workers.worker import work


def check_start_method(settings: Settings) -> None:
    """Raises CannotLaunch where `fork` was asked for and cannot be."""
    if settings.start_method != "fork":
        return
    if sys.platform != "linux":
        raise CannotLaunch("--start-method fork needs Linux; spawn works everywhere.")
    if settings.device.startswith("cuda"):
        raise CannotLaunch(
            f"--start-method fork and --device {settings.device} exclude each other: a process that is a"
            " copy cannot use a GPU. spawn is for it."
        )


def launcher_of(
    settings: Settings,
    listeners: list[socket.socket],
    folder: MetricsFolder,
    keys: Callable[[], KeyContents],
) -> Launcher:
    """Raises CannotLaunch."""

    def arguments(link: socket.socket) -> tuple[Any, ...]:
        return settings, listeners, link, folder.path, keys()

    method = settings.start_method
    if method == "spawn" or settings.device.startswith("cuda"):
        return Spawning(work, arguments)
    if not adopts_orphans():
        if method == "fork":
            raise CannotLaunch("--start-method fork: this kernel cannot hand over processes.")
        return Spawning(work, arguments)
    spawning = Spawning(work, arguments) if method == "auto" else None
    return Forking(settings, listeners, folder.path, keys, spawning)
