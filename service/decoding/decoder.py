"""A process that reads pictures, one at a time, and is ended where one takes too long.

Decoders are written in C, hold the interpreter lock at times and cannot be interrupted: beside the event
loop they would hold it up, and go on when nobody waits any longer. This process has neither torch nor
pydantic nor the web framework in it: 30 MB, and a tenth of a second to start. `process` has the other
end of the socket.
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
from itertools import accumulate
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
from service.pictures.digits.preparation import Prepared
from service.pictures.fitting import Fit
from service.pictures.images import Finding, Picture, find, open_picture
from service.pictures.numbers.candidates import Candidate
from service.pictures.orientation import upright_size

LENGTHS = struct.Struct("!QQ")  # of a message: of its document, and of the bytes behind it

# What a decoder says first. A service whose files were replaced while it ran starts those of another
# version: raise the number where something else is sent.
READY = b"decoder 4\n"

MOST_DATA_BYTES = 768 * 1024 * 1024  # of memory, should `budget` have missed something
# A JPEG of one scan is scaled while it is decoded: so many of its pixels take the time of one of others'.
SMALL_PIXELS, SCALED_JPEG = 1_000_000, 16
MOST_SECONDS_TOGETHER = (
    0.02  # of computing, after which no other picture of those that came together is begun
)

_PIXELS = "pixels"  # in an answer; they are sent behind it
_YIELDING = 5  # niceness: the event loop and the models go before
_ERRORS = {
    error.__name__: error
    for error in (BlankImage, InvalidImage, PictureTooCostly, TooManyPixels, UnsupportedMediaType)
}


class Task(NamedTuple):
    """What is asked: a file, whether it is left where it is a large one, and what the model reads of it.

    Beyond so many `seconds` of computing the process is ended by SIGPROF, whatever it does: those of the
    first hold for all tasks that come together.
    """

    data: bytes
    max_pixels: int
    only_small: bool
    seconds: float
    fit: Fit


def packed(items: Sequence[Any], pieces: Sequence[bytes]) -> bytes:
    """A message: of each item what JSON can say, and a piece of bytes, all of them behind it."""
    document = json.dumps([items, [len(piece) for piece in pieces]]).encode()
    return b"".join([LENGTHS.pack(len(document), sum(map(len, pieces))), document, *pieces])


def unpacked(document: bytes, behind: bytes) -> list[tuple[Any, bytes]]:
    """The items of a message, each with its piece. Raises LookupError, TypeError or ValueError."""
    items, lengths = json.loads(document)
    ends = accumulate(lengths)
    return [
        (item, behind[end - length : end]) for item, length, end in zip(items, lengths, ends, strict=True)
    ]


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
            answered = list(answers(tasks))
            signal.setitimer(signal.ITIMER_PROF, 0)
            pixels = [answer.pop(_PIXELS, b"") if answer else b"" for answer in answered]
            _send(connection, packed(answered, pixels))


def answers(tasks: list[Task], seconds: float = MOST_SECONDS_TOGETHER) -> Iterator[Any]:
    """Answers to the first task and those begun in time, None for the others; tasks leave the list."""
    end = time.process_time() + seconds
    yield _answer(tasks.pop(0))
    while tasks:
        task = tasks.pop(0)
        yield _answer(task) if time.process_time() < end else None


def found_in(document: Any, pixels: bytes) -> Finding:
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
    width, height = document["size"]
    if "candidates" in document:
        candidates = [Candidate._make([*said[:-1], tuple(said[-1])]) for said in document["candidates"]]
        return Finding(pixels, (width, height), candidates=candidates)
    if "box" not in document:
        return Finding(pixels, (width, height))
    beside = tuple(tuple(box) for box in document["beside"])
    prepared = Prepared(pixels, document["ink_is_light"], tuple(document["box"]), beside)
    return Finding(pixels, (width, height), prepared)


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
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return []
    of_document, of_files = LENGTHS.unpack(lengths)
    document, files = stream.read(of_document), stream.read(of_files)
    if len(document) + len(files) < of_document + of_files:
        return []
    return [
        Task(data, max_pixels, only_small, seconds, Fit(*fit))
        for (max_pixels, only_small, seconds, fit), data in unpacked(document, files)
    ]


def _answer(task: Task) -> dict[str, Any]:
    """Nothing says that the picture is not small."""
    try:
        picture = open_picture(task.data, task.max_pixels)
        if task.only_small and not _is_small(picture, task.fit):
            return {}
        pixels, size, prepared, candidates = find(picture, task.fit)
    except MemoryError:
        return {"error": PictureTooCostly.__name__, "detail": "Reading the picture takes too much memory."}
    except (InvalidImage, UnsupportedMediaType) as error:
        return {"error": type(error).__name__, "detail": error.detail}
    found = {"candidates": candidates} if candidates else prepared._asdict() if prepared else {}
    return found | {_PIXELS: pixels, "size": size}


def _is_small(picture: Picture, fit: Fit) -> bool:
    width, height = picture.size
    content = picture.content
    plain_jpeg = content.format == "JPEG" and not content.info.get("progressive")
    scaled = plain_jpeg and fit.factor(upright_size(picture.size, picture.orientation), is_jpeg=True) > 1
    return width * height <= SMALL_PIXELS * (SCALED_JPEG if scaled else 1)


def _send(connection: socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:  # nobody is there to read it
        sys.exit()
