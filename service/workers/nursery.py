"""The process that workers are copies of: it imports and loads once, and serves nobody.

It has one thread, from its start to its end: a copy has only the thread that made it, and whatever another
one held would stay held in it for ever.
"""

import gc
import logging
import logging.config
import multiprocessing
import os
import socket
from atexit import _run_exitfuncs
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from service.http.logs import log_config
from service.settings import KeyContents, Settings
from service.workers.prctl import end_with_parent, rename
from service.workers.worker import work


class Loading(NamedTuple):
    """It is about to read the store, a model's folder there, or a version."""

    title: str


class Ready(NamedTuple):
    """Workers can be asked for."""

    models: int


class Born(NamedTuple):
    """A worker, as it was ordered."""

    pid: int


class Refused(NamedTuple):
    """There is none."""

    why: str


def nurse(
    settings: Settings,
    listeners: list[socket.socket],
    orders: Connection,
    metrics_folder: Path,
    keys: KeyContents,
    with_models: bool,
    parent: int,
) -> None:
    """Load, then start a worker for each order: the keys it goes by, and its end of a socket."""
    end_with_parent(parent)
    rename("abacus-nursery")
    logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
    gc.disable()
    # Imported here: the process that watches over all never holds torch.
    from service.workers import preloading

    preloading.settle_in()
    preloaded = None
    why = preloading.why_not_to_fork(settings.device)
    if with_models and not why:
        preloaded = preloading.preload(
            settings, keys, metrics_folder, lambda title: orders.send(Loading(title))
        )
        why = preloading.why_not_to_fork(settings.device)
    if why:
        orders.send(Refused(why))
        return
    gc.freeze()  # a collection writes to all that it looks at, and what is written to is shared no longer
    orders.send(Ready(len(preloaded or ())))
    while order := _next_order(orders):
        keys_then, descriptor = order
        with socket.socket(fileno=descriptor) as link:
            arguments = (settings, listeners, link, metrics_folder, keys_then, preloaded)
            orders.send(_born(partial(_serve, orders, arguments)))


def _next_order(orders: Connection) -> tuple[KeyContents, int] | None:
    try:
        keys: KeyContents = orders.recv()
        return keys, recv_handle(orders)
    except EOFError:  # nobody wants any more
        return None


def _serve(orders: Connection, arguments: tuple[Any, ...]) -> None:
    """In the worker."""
    orders.close()
    from torch import seed

    seed()  # a model that throws dice throws others than its copies; Python's are thrown anew by itself
    try:
        work(*arguments)
    finally:
        _run_exitfuncs()  # a process that is a copy ends without


def _born(target: Callable[[], None]) -> Born | Refused:
    """Its parent has ended, so that it is the child of whoever adopts orphans."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    with ours:
        try:
            between = os.fork()
            if not between:
                _be_between(target, theirs)
            theirs.close()
            os.waitpid(between, 0)
            return Born(ours.recv())
        except EOFError:
            return Refused("it could not be copied")
        except OSError as error:
            return Refused(str(error))


def _be_between(target: Callable[[], None], told: Connection) -> NoReturn:
    try:
        process = multiprocessing.get_context("fork").Process(target=target)
        process.start()
        told.send(process.pid)
    finally:
        os._exit(0)
