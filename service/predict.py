"""The hot path: read, decode, predict, answer.

`routes` declares these endpoints to FastAPI, which documents them and could call them; `app` calls them
without it, because the framework's general way costs more than a prediction (docs/decisions/0005).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope

from service import explain
from service.batching import Answer, Rows
from service.body import Body
from service.call import Admitted, Backend, Call
from service.errors import FieldError, InvalidInput, UnsupportedMediaType
from service.images import find_digit
from service.multipart import FILE_FIELD, FileForm
from service.predictor import MAX_BATCH_ROWS
from service.questions import (
    INLINE_PICTURES,
    Pictures,
    Posted,
    Question,
    Whole,
    ask_digit,
    ask_pass,
    digits,
    read_pictures,
    read_whole,
)
from service.registry import Interface
from service.schemas import MAX_HOURS_PER_REQUEST

PASS, DIGIT = "pass", "digit"

INTERFACES = {
    PASS: Interface("hours", "float32", (-1, 1), (-1, 1)),
    DIGIT: Interface("images", "uint8", (-1, 1, 28, 28), (-1, 10)),
}

# The most rows of one batch. Ten thousand hours are computed in the time of a few pictures.
BATCH_ROWS = {PASS: MAX_HOURS_PER_REQUEST, DIGIT: MAX_BATCH_ROWS}


async def answer_pass(scope: Scope, receive: Receive) -> Response:
    """`POST /predict/pass`. Raises ServiceError, Abandoned or ClientDisconnect."""
    return await Call(scope, receive, PASS, backend_of(scope)).answered(_answer_pass)


async def answer_digit(scope: Scope, receive: Receive) -> Response:
    """`POST /predict/digit`. Raises ServiceError, Abandoned or ClientDisconnect."""
    return await Call(scope, receive, DIGIT, backend_of(scope)).answered(_answer_digit)


def backend_of(scope: Scope) -> Backend:
    backend: Backend = scope["app"].state.backend
    return backend


async def _answer_pass(call: Call) -> Response:
    if call.body.media_type != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    chunks: list[bytes] = []
    await call.body.read(chunks.append)
    question = ask_pass(call, (call.body.content_type, b"".join(chunks)))
    return _response(call, question, await call.predict(question.rows))


async def _answer_digit(call: Call) -> Response:
    explained = _flag(call.scope["query_string"], "explain")
    posted = await _posted(call.body)
    if explained:
        return await _explain_digit(call, posted)
    call.admit(len(posted.files))
    pictures, rows = await _read(posted, call.backend.max_image_pixels)
    return _response(call, pictures.question(rows), await call.predict(rows))


async def _read(posted: Posted, max_pixels: int) -> tuple[Pictures, Rows]:
    """The pictures and their rows. Raises ServiceError."""
    if len(posted.files) > INLINE_PICTURES:
        return await asyncio.to_thread(_read_elsewhere, posted, max_pixels)
    (pictures,) = read_pictures([posted])
    known = pictures.known(max_pixels)
    if known is None:
        known = await asyncio.to_thread(pictures.rows, max_pixels)
    return pictures, known


def _read_elsewhere(posted: Posted, max_pixels: int) -> tuple[Pictures, Rows]:
    (pictures,) = read_pictures([posted])
    return pictures, pictures.rows(max_pixels)


async def _explain_digit(call: Call, posted: Posted) -> Response:
    if len(posted.files) > 1:
        raise InvalidInput("Only one picture a request can be explained.")
    call.admit(explain.ROWS)
    started = time.perf_counter()
    (picture,) = posted.opened(call.backend.max_image_pixels)
    finding = await asyncio.to_thread(find_digit, picture)
    decode_s = time.perf_counter() - started
    rows = explain.occluded(finding.prepared.pixels)
    answer = await call.predict(rows)
    results = digits(answer)
    why = await asyncio.to_thread(explain.explanation, finding, [row["probabilities"] for row in results])
    explained = {**results[0], "explanation": why}
    return _response(call, Question(rows, False, lambda _: [explained], decode_s), answer)


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


async def _posted(body: Body) -> Posted:
    if body.media_type == "multipart/form-data":
        form = FileForm(body.content_type)
        await body.read(form.write)
        return Posted(FILE_FIELD, form.finish())
    if body.media_type.startswith("image/"):
        chunks: list[bytes] = []
        await body.read(chunks.append)
        return Posted("body", [b"".join(chunks)])
    raise UnsupportedMediaType(
        "Send the picture as multipart/form-data in the field 'file', or as the body with"
        " Content-Type: image/*."
    )


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


ENDPOINTS = {"/predict/pass": answer_pass, "/predict/digit": answer_digit}

# For requests that are there whole: the model, how they are read, all that have come at once, and what one
# of them asks; None if that is not to be answered at once.
Read = Callable[[Sequence[Whole]], Sequence[Any]]
Ask = Callable[[Admitted, Any], Question | None]
ASKED: dict[str, tuple[str, Read, Ask]] = {
    "/predict/pass": (PASS, list, ask_pass),
    "/predict/digit": (DIGIT, read_whole, ask_digit),
}
