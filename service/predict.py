"""The hot path: read, decode, predict, answer.

`routes` declares these endpoints to FastAPI, which documents them and could call them; `app` calls them
without it, because the framework's general way costs more than a prediction (docs/decisions/0005).
"""

import asyncio
import time
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope

from service import explain
from service.batching import Answer
from service.body import Body
from service.call import Backend, Call
from service.errors import FieldError, InvalidInput, UnsupportedMediaType
from service.images import Upload, find_digit, open_pictures, read_digits
from service.manifest import OutputSpec
from service.multipart import MAX_FILES, FileForm
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
    started = time.perf_counter()
    document = b"".join(chunks)
    # Only commas between hours can stand in a valid body, so they count its rows before it is parsed.
    call.admit(min(document.count(b","), MAX_HOURS_PER_REQUEST - 1) + 1)
    try:
        hours = PassRequest.model_validate_json(document).hours
    except ValidationError as error:
        raise invalid_payload(error) from error
    values = hours if isinstance(hours, list) else [hours]
    rows = np.array(values, dtype=np.float32).reshape(-1, 1)
    decode_s = time.perf_counter() - started
    answer = await call.predict(rows)
    threshold, fitted_to = answer.manifest.threshold, answer.manifest.input
    low, high = fitted_to.training_minimum, fitted_to.training_maximum
    results = [
        {"hours": h, "probability": p, "passed": p >= threshold, "extrapolating": not low <= h <= high}
        for h, (p,) in zip(values, answer.outputs, strict=True)
    ]
    return _respond(call, values is hours, results, answer, decode_s)


async def _answer_digit(call: Call) -> Response:
    explained = _flag(call.scope["query_string"], "explain")
    uploads = await _uploads(call.body)
    if explained:
        return await _explain_digit(call, uploads)
    call.admit(len(uploads))
    started = time.perf_counter()
    pictures = open_pictures(uploads, call.backend.max_image_pixels)
    if sum(picture.pixels for picture in pictures) <= INLINE_PIXELS:
        rows = read_digits(pictures)
    else:
        rows = await asyncio.to_thread(read_digits, pictures)
    decode_s = time.perf_counter() - started
    answer = await call.predict(rows)
    results = [_digit(row, answer.manifest.output) for row in answer.outputs]
    return _respond(call, len(uploads) > 1, results, answer, decode_s)


async def _explain_digit(call: Call, uploads: list[Upload]) -> Response:
    if len(uploads) > 1:
        raise InvalidInput("Only one picture a request can be explained.")
    call.admit(explain.ROWS)
    started = time.perf_counter()
    (picture,) = open_pictures(uploads, call.backend.max_image_pixels)
    finding = await asyncio.to_thread(find_digit, picture)
    decode_s = time.perf_counter() - started
    answer = await call.predict(explain.occluded(finding.prepared.pixels))
    rows = [_digit(row, answer.manifest.output) for row in answer.outputs]
    why = await asyncio.to_thread(explain.explanation, finding, [row["probabilities"] for row in rows])
    return _respond(call, False, [{**rows[0], "explanation": why}], answer, decode_s)


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
        files = form.finish()
        return [Upload(f"file.{i}" if len(files) > 1 else "file", f) for i, f in enumerate(files)]
    if body.media_type.startswith("image/"):
        chunks: list[bytes] = []
        await body.read(chunks.append)
        return [Upload("body", b"".join(chunks))]
    raise UnsupportedMediaType(
        "Send the picture as multipart/form-data in the field 'file', or as the body with"
        " Content-Type: image/*."
    )


def _respond(
    call: Call, many: bool, results: list[dict[str, Any]], answer: Answer, decode_s: float
) -> Response:
    """One result as it is, or several as `predictions`, with the model, its version and the timings."""
    served_by: dict[str, str | int] = {"model": answer.manifest.name, "version": answer.manifest.version}
    document = {"predictions": results, **served_by} if many else {**results[0], **served_by}
    stages = {"decode": decode_s, "queue": answer.queue_s, "infer": answer.infer_s}
    call.record(served_by, stages)
    timings = 1000 * decode_s, 1000 * answer.queue_s, 1000 * answer.infer_s
    return _Json(to_json(document), b"decode;dur=%.3f, queue;dur=%.3f, infer;dur=%.3f" % timings)


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
