"""The hot path: read, decode, predict, answer.

`routes` declares these endpoints to FastAPI, which documents them and could call them; `app` calls them
without it, because the framework's general way costs more than a prediction (docs/decisions/0005).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import numpy as np
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope

from service import explain
from service.batching import Answer, Rows
from service.body import Body, media_type_of
from service.call import Admitted, Backend, Call
from service.errors import FieldError, InvalidInput, UnsupportedMediaType
from service.images import Picture, Upload, find_digit, open_pictures, read_digits
from service.manifest import OutputSpec
from service.multipart import MAX_FILES, FileForm, usual_form
from service.predictor import MAX_BATCH_ROWS
from service.problems import invalid_payload
from service.registry import Interface
from service.schemas import MAX_HOURS_PER_REQUEST, PassRequest

PASS, DIGIT = "pass", "digit"

INTERFACES = {
    PASS: Interface("hours", "float32", (-1, 1), (-1, 1)),
    DIGIT: Interface("images", "uint8", (-1, 1, 28, 28), (-1, 10)),
}

# The most rows of one batch. Ten thousand hours are computed in the time of a few pictures.
BATCH_ROWS = {PASS: MAX_HOURS_PER_REQUEST, DIGIT: MAX_BATCH_ROWS}

# Up to so many pixels in all are decoded on the event loop: a thread's round trip costs more than they do.
INLINE_PIXELS = MAX_FILES * 28 * 28


class Question(NamedTuple):
    """A request, decoded: rows for the model, and what is answered to the model's outputs for them."""

    rows: Rows
    many: bool
    results: Callable[[Answer], list[dict[str, Any]]]
    decode_s: float


async def answer_pass(scope: Scope, receive: Receive) -> Response:
    """`POST /predict/pass`. Raises ServiceError, Abandoned or ClientDisconnect."""
    return await Call(scope, receive, PASS, backend_of(scope)).answered(_answer_pass)


async def answer_digit(scope: Scope, receive: Receive) -> Response:
    """`POST /predict/digit`. Raises ServiceError, Abandoned or ClientDisconnect."""
    return await Call(scope, receive, DIGIT, backend_of(scope)).answered(_answer_digit)


def backend_of(scope: Scope) -> Backend:
    backend: Backend = scope["app"].state.backend
    return backend


def ask_pass(call: Admitted, content_type: str, document: bytes) -> Question:
    """What a whole body asks of `pass`. Raises ServiceError."""
    if media_type_of(content_type) != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    started = time.perf_counter()
    # Only commas between hours can stand in a valid body, so they count its rows before it is parsed.
    call.admit(min(document.count(b","), MAX_HOURS_PER_REQUEST - 1) + 1)
    try:
        hours = PassRequest.model_validate_json(document).hours
    except ValidationError as error:
        raise invalid_payload(error) from error
    values = hours if isinstance(hours, list) else [hours]
    rows = np.array(values, dtype=np.float32).reshape(-1, 1)
    return Question(rows, values is hours, partial(_passes, values), time.perf_counter() - started)


def ask_digit(call: Admitted, content_type: str, body: bytes) -> Question | None:
    """What a whole body asks of `digit`, if it is in the usual form and small: None of any other.

    Raises ServiceError.
    """
    if content_type.startswith("image/"):
        uploads = [Upload("body", body)]
    else:
        uploads = _named(usual_form(content_type, body))
    started, pictures = _opened(call, uploads, len(uploads))
    if not pictures or not _small(pictures):
        return None
    return _question(read_digits(pictures), started)


async def _answer_pass(call: Call) -> Response:
    if call.body.media_type != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    chunks: list[bytes] = []
    await call.body.read(chunks.append)
    question = ask_pass(call, call.body.content_type, b"".join(chunks))
    return _response(call, question, await call.predict(question.rows))


async def _answer_digit(call: Call) -> Response:
    explained = _flag(call.scope["query_string"], "explain")
    uploads = await _uploads(call.body)
    if explained:
        return await _explain_digit(call, uploads)
    started, pictures = _opened(call, uploads, len(uploads))
    rows = read_digits(pictures) if _small(pictures) else await asyncio.to_thread(read_digits, pictures)
    return _response(call, _question(rows, started), await call.predict(rows))


async def _explain_digit(call: Call, uploads: list[Upload]) -> Response:
    if len(uploads) > 1:
        raise InvalidInput("Only one picture a request can be explained.")
    started, (picture,) = _opened(call, uploads, explain.ROWS)
    finding = await asyncio.to_thread(find_digit, picture)
    decode_s = time.perf_counter() - started
    rows = explain.occluded(finding.prepared.pixels)
    answer = await call.predict(rows)
    results = _digits(answer)
    why = await asyncio.to_thread(explain.explanation, finding, [row["probabilities"] for row in results])
    explained = {**results[0], "explanation": why}
    return _response(call, Question(rows, False, lambda _: [explained], decode_s), answer)


def _opened(call: Admitted, uploads: Sequence[Upload], rows: int) -> tuple[float, list[Picture]]:
    """When that began, and the pictures, of which so many rows will be made. Raises ServiceError."""
    call.admit(rows)
    return time.perf_counter(), open_pictures(uploads, call.backend.max_image_pixels)


def _question(rows: Rows, started: float) -> Question:
    return Question(rows, len(rows) > 1, _digits, time.perf_counter() - started)


def _small(pictures: Sequence[Picture]) -> bool:
    return sum([width * height for _, _, (width, height) in pictures]) <= INLINE_PIXELS


def _flag(query: bytes, name: str) -> bool:
    """A boolean of the query string, false when it is not there. Raises InvalidInput."""
    if not query:
        return False
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True).get(name, ["false"])
    value = values[-1].lower()
    if value not in ("true", "1", "false", "0"):
        raise InvalidInput(
            f"The query parameter {name} must be true or false.", (FieldError(name, "is no boolean"),)
        )
    return value in ("true", "1")


def _passes(hours: Sequence[float], answer: Answer) -> list[dict[str, Any]]:
    threshold, fitted_to = answer.manifest.threshold, answer.manifest.input
    low, high = fitted_to.training_minimum, fitted_to.training_maximum
    return [
        {"hours": h, "probability": p, "passed": p >= threshold, "extrapolating": not low <= h <= high}
        for h, (p,) in zip(hours, answer.outputs, strict=True)
    ]


def _digits(answer: Answer) -> list[dict[str, Any]]:
    output = answer.manifest.output
    return [_digit(row, output) for row in answer.outputs]


def _digit(row: list[float], output: OutputSpec) -> dict[str, Any]:
    """What is answered to one row of the model's output."""
    score = output.score
    out_of_distribution = row.pop() > score.threshold if score else None
    confidence = max(row)
    return {
        "digit": int(output.labels[row.index(confidence)]),
        "confidence": confidence,
        "probabilities": row,
        "out_of_distribution": out_of_distribution,
    }


async def _uploads(body: Body) -> list[Upload]:
    if body.media_type == "multipart/form-data":
        form = FileForm(body.content_type)
        await body.read(form.write)
        return _named(form.finish())
    if body.media_type.startswith("image/"):
        chunks: list[bytes] = []
        await body.read(chunks.append)
        return [Upload("body", b"".join(chunks))]
    raise UnsupportedMediaType(
        "Send the picture as multipart/form-data in the field 'file', or as the body with"
        " Content-Type: image/*."
    )


def _named(files: Sequence[bytes]) -> list[Upload]:
    if len(files) == 1:
        return [Upload("file", files[0])]
    return [Upload(f"file.{i}", file) for i, file in enumerate(files)]


def _response(call: Admitted, question: Question, answer: Answer) -> Response:
    return _Json(*respond(call, question, answer))


def respond(call: Admitted, question: Question, answer: Answer) -> tuple[bytes, bytes]:
    """The body of the answer, as JSON, and its `Server-Timing`; both are recorded.

    One result as it is, or several as `predictions`, with the model and its version.
    """
    results = question.results(answer)
    served_by: dict[str, str | int] = {"model": answer.manifest.name, "version": answer.manifest.version}
    document = {"predictions": results, **served_by} if question.many else {**results[0], **served_by}
    stages = {"decode": question.decode_s, "queue": answer.queue_s, "infer": answer.infer_s}
    call.record(served_by, stages)
    timings = 1000 * question.decode_s, 1000 * answer.queue_s, 1000 * answer.infer_s
    return to_json(document), b"decode;dur=%.3f, queue;dur=%.3f, infer;dur=%.3f" % timings


class _Json(Response):
    """200 with a JSON body; made without the general constructor, which costs as much as decoding."""

    def __init__(self, body: bytes, server_timing: bytes) -> None:
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"server-timing", server_timing),
        ]


Ask = Callable[[Admitted, str, bytes], Question | None]

ENDPOINTS = {"/predict/pass": answer_pass, "/predict/digit": answer_digit}
ASKED: dict[str, tuple[str, Ask]] = {
    "/predict/pass": (PASS, ask_pass),
    "/predict/digit": (DIGIT, ask_digit),
}
