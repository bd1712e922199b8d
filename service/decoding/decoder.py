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
import warnings
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
from service.pictures.images import Finding, Upload, find_digit, open_pictures
from service.pictures.preparation import Prepared

READY = b"+"
LENGTH = struct.Struct("!I")

MOST_DATA_BYTES = 768 * 1024 * 1024  # of memory, should `budget` have missed something
SMALL_PIXELS, SMALL_BYTES = 1_000_000, 1_000_000

_YIELDING = 5  # niceness: the event loop and the models go before
_ERRORS = {
    error.__name__: error
    for error in (BlankImage, InvalidImage, PictureTooCostly, TooManyPixels, UnsupportedMediaType)
}


class Task(NamedTuple):
    """What is asked: a file, and whether it is left where it is a large one.

    Beyond so many `seconds` of computing the process is ended by SIGPROF, whatever it does.
    """

    data: bytes
    max_pixels: int
    only_small: bool
    seconds: float

    def packed_head(self) -> bytes:
        """What is sent before the data itself."""
        return _HEAD.pack(len(self.data), *self[1:])


_HEAD = struct.Struct("!QQ?d")


class NotSmall(Exception):
    """The picture is a large one."""


def main(descriptor: int) -> None:
    """Read pictures until the other end is closed."""
    _settle_in()
    with socket(fileno=descriptor) as connection, connection.makefile("rb") as stream:
        _send(connection, READY)
        while (task := _next_task(stream)) is not None:
            signal.setitimer(signal.ITIMER_PROF, task.seconds)
            answer = json.dumps(_answer(task)).encode()
            del task
            signal.setitimer(signal.ITIMER_PROF, 0)
            _send(connection, LENGTH.pack(len(answer)) + answer)


def found_in(answer: bytes) -> Finding:
    """What was answered. Raises NotSmall or ServiceError."""
    document: dict[str, Any] = json.loads(answer)
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


def _next_task(stream: BufferedReader) -> Task | None:
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    size, *rest = _HEAD.unpack(head)
    return Task(stream.read(size), *rest)


def _answer(task: Task) -> dict[str, Any]:
    """Nothing says that the picture is not small."""
    try:
        (picture,) = open_pictures([Upload("", task.data)], task.max_pixels)
        width, height = picture.size
        if task.only_small and (width * height > SMALL_PIXELS or len(task.data) > SMALL_BYTES):
            return {}
        prepared, size = find_digit(picture)
    except MemoryError:
        return {"error": PictureTooCostly.__name__, "detail": "Reading the picture takes too much memory."}
    except (InvalidImage, UnsupportedMediaType) as error:
        return {"error": type(error).__name__, "detail": error.detail}
    return prepared._asdict() | {"pixels": prepared.pixels.hex(), "size": size}


def _send(connection: socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:  # nobody is there to read it
        sys.exit()
