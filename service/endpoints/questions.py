"""What a request asks: rows for a model, and what is answered to the model's outputs for them."""

import time
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from service.artifacts.interface import Output, TableInput
from service.endpoints.documents import BYTES_A_VALUE, SMALL_BYTES, read, reading
from service.endpoints.multipart import FILE_FIELD, FORM, whole_form
from service.endpoints.schemas import MAX_HOURS_PER_REQUEST, PassRequest
from service.errors import UnsupportedMediaType
from service.pictures.images import Upload, rows_of
from service.pictures.mnist import digits_of_mnist
from service.pictures.preparation import SIDE
from service.serving.body import media_type_of
from service.serving.call import Admitted
from service.serving.job import Answer, Rows
from service.serving.steps import Steps

# Up to so many of MNIST's own pictures are decoded on the event loop: a thread's round trip costs more than
# they do. Any other picture may take long, and is read elsewhere.
INLINE_PICTURES = 8

ALL = slice(None)
JSON = "application/json"

MAX_HOURS_BYTES = MAX_HOURS_PER_REQUEST * BYTES_A_VALUE

# Of a request that is there whole: its content type, and its body.
Whole = tuple[str, bytes]


class Question(NamedTuple):
    """A request, decoded: rows for the model, and what is answered to its outputs for some of them."""

    rows: Rows
    many: bool
    results: Callable[[Answer, slice], list[dict[str, Any]]]
    decode_s: float


class Posted(NamedTuple):
    """Files as they came: in the field `file` of a form, or one that is the `body` itself."""

    field: str
    files: Sequence[bytes]

    def uploads(self) -> list[Upload]:
        """Each with what to call it in an error."""
        field, files = self
        alone = len(files) == 1
        return [Upload(field if alone else f"{field}.{i}", file) for i, file in enumerate(files)]


class Pictures(NamedTuple):
    """Those of one request.

    `digits`: the pixels of each that is one of MNIST's, else b"". `started`: when they began to be decoded,
    with those of the requests that came with it; by `time.perf_counter`.
    """

    posted: Posted
    digits: list[bytes]
    started: float

    def known(self, max_pixels: int) -> Rows | None:
        """Rows for the model, where all are MNIST's."""
        return rows_of(self.digits) if all(self.digits) and max_pixels >= SIDE * SIDE else None

    def question(self, rows: Rows) -> Question:
        return Question(rows, len(rows) > 1, digits, time.perf_counter() - self.started)


def read_pictures(requests: Sequence[Posted]) -> list[Pictures]:
    """The pictures of some requests; MNIST's own are decoded, all of them at once."""
    started = time.perf_counter()
    read = iter(digits_of_mnist([file for posted in requests for file in posted.files]))
    return [Pictures(posted, list(islice(read, len(posted.files))), started) for posted in requests]


def read_whole(requests: Sequence[Whole]) -> list[Pictures]:
    """Likewise of requests that are there whole; none of one that cannot be read, or has very many."""
    return read_pictures([_posted_whole(*whole) for whole in requests])


def _posted_whole(content_type: str, body: bytes) -> Posted:
    if content_type.startswith("image/"):
        return Posted("body", [body])
    files = whole_form(content_type, body) if _is_form(content_type) else []
    return Posted(FILE_FIELD, files if len(files) <= INLINE_PICTURES else [])


def _is_form(content_type: str) -> bool:
    return content_type.startswith(f"{FORM};") or media_type_of(content_type) == FORM


def ask_digit(call: Admitted, pictures: Pictures) -> Question | None:
    """None where there is no picture, or one that is not MNIST's. Raises ServiceError."""
    if not pictures.digits:
        return None
    rows = pictures.known(call.backend.max_image_pixels)
    if rows is None:
        return None
    call.admit(len(rows))
    return pictures.question(rows)


def ask_pass(call: Admitted, whole: Whole) -> Question | None:
    """None where reading it may take long. Raises ServiceError."""
    content_type, document = whole
    if content_type != JSON and media_type_of(content_type) != JSON:
        raise UnsupportedMediaType("Send application/json.")
    if len(document) > SMALL_BYTES:
        return None
    admit_hours(call, document)
    return hours_of(document)


def admit_hours(call: Admitted, document: bytes) -> None:
    """Only commas between hours can stand in a valid body, so they count its rows before it is parsed.

    Raises Overloaded.
    """
    call.admit(min(document.count(b",", 0, MAX_HOURS_BYTES), MAX_HOURS_PER_REQUEST - 1) + 1)


def hours_of(document: bytes) -> Question:
    """Raises InvalidInput or PayloadTooLarge."""
    started = time.perf_counter()
    hours = read(PassRequest, document, MAX_HOURS_PER_REQUEST).hours
    values = hours if isinstance(hours, list) else [hours]
    return _question_of(values, values is hours, started)


def long_hours_of(document: bytes) -> Steps[Question]:
    """`hours_of`, of a large document. Raises InvalidInput or PayloadTooLarge."""
    started = time.perf_counter()
    hours = (yield from reading(PassRequest, document, MAX_HOURS_PER_REQUEST)).hours
    yield
    values = hours if isinstance(hours, list) else [hours]
    return _question_of(array("d", values), values is hours, started)


def _question_of(hours: Sequence[float], many: bool, started: float) -> Question:
    rows = np.array(hours, dtype=np.float32).reshape(-1, 1)
    return Question(rows, many, partial(_passes, hours), time.perf_counter() - started)


def _passes(hours: Sequence[float], answer: Answer, part: slice) -> list[dict[str, Any]]:
    threshold, rows = answer.manifest.threshold, answer.manifest.input
    assert isinstance(rows, TableInput)
    low, high = rows.columns[0].training_minimum, rows.columns[0].training_maximum
    assert low is not None
    assert high is not None
    return [
        {"hours": h, "probability": p, "passed": p >= threshold, "extrapolating": not low <= h <= high}
        for h, (p,) in zip(hours[part], answer.outputs[part].tolist(), strict=True)
    ]


def digits(answer: Answer, part: slice = ALL) -> list[dict[str, Any]]:
    """What is answered to the outputs for pictures."""
    output = answer.manifest.output
    return [_digit(row, output) for row in answer.outputs[part].tolist()]


def _digit(row: list[float], output: Output) -> dict[str, Any]:
    score = output.score
    out_of_distribution = row.pop() > score.threshold if score else None
    confidence = max(row)
    return {
        "digit": int(output.labels[row.index(confidence)]),
        "confidence": confidence,
        "probabilities": row,
        "out_of_distribution": out_of_distribution,
    }
