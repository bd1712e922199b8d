"""A process that reads pictures, one at a time, and is ended where one takes too long.

Decoders are written in C, hold the interpreter lock at times and cannot be interrupted: beside the event
loop they would hold it up, and go on when nobody waits any longer. This process has neither torch nor the
web framework in it: 30 MB, and a tenth of a second to start. `decoding` has the other end of the socket.
"""

import json
import os
import resource
import signal
import struct
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from socket import socket
from typing import Any, NamedTuple

from service.errors import (
    BlankImage,
    InvalidImage,
    PictureTooCostly,
    ServiceError,
    TooManyPixels,
    UnsupportedMediaType,
)
from service.pictures.images import Finding, Picture, Upload, find_digit, open_pictures
from service.pictures.preparation import Prepared

READY = b"+"
LENGTH = struct.Struct("!I")

MOST_DATA_BYTES = 768 * 1024 * 1024  # of memory, should `budget` have missed something
# A JPEG of one scan is scaled while it is decoded: so many of its pixels take the time of one of others'.
SMALL_PIXELS, SCALED_JPEG = 1_000_000, 16
MOST_SECONDS_TOGETHER = (
    0.02  # of computing, after which no other picture of those that came together is begun
)

_YIELDING = 5  # niceness: the event loop and the models go before
_ERRORS = {
    error.__name__: error
    for error in (BlankImage, InvalidImage, PictureTooCostly, TooManyPixels, UnsupportedMediaType)
}


class Task(NamedTuple):
    """What is asked: a file, and whether it is left where it is a large one.

    Beyond so many `seconds` of computing the process is ended by SIGPROF, whatever it does: those of the
    first hold for all tasks that come together.
    """

    data: bytes
    max_pixels: int
    only_small: bool
    seconds: float


_COUNT, _HEAD = struct.Struct("!I"), struct.Struct("!QQ?d")


def packed(tasks: Sequence[Task]) -> bytes:
    """As they are sent."""
    parts = [_COUNT.pack(len(tasks))]
    for task in tasks:
        parts += _HEAD.pack(len(task.data), *task[1:]), task.data
    return b"".join(parts)


class NotSmall(Exception):
    """The picture is a large one."""


class NotYet(Exception):
    """Others that came with the picture took their time, and it was left."""


def main(descriptor: int) -> None:
    """Read pictures until the other end is closed."""
    _settle_in()
    with socket(fileno=descriptor) as connection, connection.makefile("rb") as stream:
        _send(connection, READY)
        while tasks := _next_tasks(stream):
            signal.setitimer(signal.ITIMER_PROF, tasks[0].seconds)
            document = json.dumps(list(answers(tasks))).encode()
            signal.setitimer(signal.ITIMER_PROF, 0)
            _send(connection, LENGTH.pack(len(document)) + document)


def answers(tasks: list[Task], seconds: float = MOST_SECONDS_TOGETHER) -> Iterator[Any]:
    """Of the first, and of those that are begun in time; None of the others. Takes them off the list."""
    end = time.process_time() + seconds
    yield _answer(tasks.pop(0))
    while tasks:
        task = tasks.pop(0)
        yield _answer(task) if time.process_time() < end else None


def found_in(document: Any) -> Finding:
    """What was answered. Raises NotSmall, NotYet or ServiceError."""
    if document is None:
        raise NotYet
    if "error" in document:
        kind = _ERRORS[document["error"]]
        error = kind.__new__(kind)
        ServiceError.__init__(error, document["detail"])
        raise error
    if not document:
        raise NotSmall
    pixels, size = bytes.fromhex(document["pixels"]), tuple(document["size"])
    return Finding(Prepared(pixels, document["ink_is_light"], tuple(document["box"])), size)


def _settle_in() -> None:
    """Those who stop the service stop it alone: this process ends with it, after its last answer."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_DATA_BYTES, MOST_DATA_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # where there is no such file; who is killed for memory is this process
        Path("/proc/self/oom_score_adj").write_text("800")
    os.nice(_YIELDING)
    _keep_the_log_clean()


def _keep_the_log_clean() -> None:
    """Whoever uploads must not fill it: what libraries print goes nowhere, our own failures go there."""
    warnings.filterwarnings("ignore")
    sys.stderr = os.fdopen(os.dup(2), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _next_tasks(stream: BufferedReader) -> list[Task]:
    """Empty where the other end is closed."""
    head = stream.read(_COUNT.size)
    if len(head) < _COUNT.size:
        return []
    tasks = []
    for _ in range(*_COUNT.unpack(head)):
        head = stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return []
        size, *rest = _HEAD.unpack(head)
        tasks.append(Task(stream.read(size), *rest))
    return tasks


def _answer(task: Task) -> dict[str, Any]:
    """Nothing says that the picture is not small."""
    try:
        (picture,) = open_pictures([Upload("", task.data)], task.max_pixels)
        if task.only_small and not _is_small(picture):
            return {}
        prepared, size = find_digit(picture)
    except MemoryError:
        return {"error": PictureTooCostly.__name__, "detail": "Reading the picture takes too much memory."}
    except (InvalidImage, UnsupportedMediaType) as error:
        return {"error": type(error).__name__, "detail": error.detail}
    return prepared._asdict() | {"pixels": prepared.pixels.hex(), "size": size}


def _is_small(picture: Picture) -> bool:
    width, height = picture.size
    content = picture.content
    scaled = content.format == "JPEG" and not content.info.get("progressive")
    return width * height <= SMALL_PIXELS * (SCALED_JPEG if scaled else 1)


def _send(connection: socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:  # nobody is there to read it
        sys.exit()
