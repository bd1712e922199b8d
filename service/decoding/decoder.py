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
from service.pictures.fitting import Fit, Resize
from service.pictures.images import Finding, Picture, Upload, find, open_pictures
from service.pictures.numbers.candidates import Candidate
from service.pictures.orientation import upright_size

_COUNT, _HEAD, _FIT = struct.Struct("!I"), struct.Struct("!QQ?d"), struct.Struct("!HHBBH")
LENGTHS = struct.Struct("!II")  # of an answer: of its document, and of the pixels behind it

# What a decoder says first. A service whose files were replaced while it ran starts those of another
# version: raise the number where something else is sent than the structures above say.
READY = f"decoder 3 {_HEAD.format}{_FIT.format}{LENGTHS.format}\n".encode()

_RESIZES: tuple[Resize, ...] = ("mnist", "crop", "stretch", "each")

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


def packed(tasks: Sequence[Task]) -> bytes:
    """As they are sent."""
    parts = [_COUNT.pack(len(tasks))]
    for task in tasks:
        height, width, channels, resize, resize_to = task.fit
        parts += [
            _HEAD.pack(len(task.data), task.max_pixels, task.only_small, task.seconds),
            _FIT.pack(height, width, channels, _RESIZES.index(resize), resize_to),
            task.data,
        ]
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
            answer = packed_answers(list(answers(tasks)))
            signal.setitimer(signal.ITIMER_PROF, 0)
            _send(connection, answer)


def answers(tasks: list[Task], seconds: float = MOST_SECONDS_TOGETHER) -> Iterator[Any]:
    """Answers to the first task and those begun in time, None for the others; tasks leave the list."""
    end = time.process_time() + seconds
    yield _answer(tasks.pop(0))
    while tasks:
        task = tasks.pop(0)
        yield _answer(task) if time.process_time() < end else None


def packed_answers(answers: Sequence[Any]) -> bytes:
    """As they are sent: what JSON can say, and all pixels behind it."""
    pixels = [answer.pop(_PIXELS) if answer and _PIXELS in answer else b"" for answer in answers]
    document = json.dumps([answers, [len(piece) for piece in pixels]]).encode()
    return b"".join([LENGTHS.pack(len(document), sum(map(len, pixels))), document, *pixels])


def unpacked_answers(document: bytes, pixels: bytes) -> list[Any]:
    """Raises LookupError, TypeError or ValueError where it is none."""
    answers, lengths = json.loads(document)
    at = 0
    for answer, length in zip(answers, lengths, strict=True):
        if length:
            answer[_PIXELS] = pixels[at : at + length]
        at += length
    return list(answers)


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
    pixels, (width, height) = document[_PIXELS], document["size"]
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
    head = stream.read(_COUNT.size)
    if len(head) < _COUNT.size:
        return []
    tasks = []
    for _ in range(*_COUNT.unpack(head)):
        head = stream.read(_HEAD.size + _FIT.size)
        if len(head) < _HEAD.size + _FIT.size:
            return []
        size, max_pixels, only_small, seconds = _HEAD.unpack_from(head)
        height, width, channels, resize, resize_to = _FIT.unpack_from(head, _HEAD.size)
        fit = Fit(height, width, channels, _RESIZES[resize], resize_to)
        tasks.append(Task(stream.read(size), max_pixels, only_small, seconds, fit))
    return tasks


def _answer(task: Task) -> dict[str, Any]:
    """Nothing says that the picture is not small."""
    try:
        (picture,) = open_pictures([Upload("", task.data)], task.max_pixels)
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
