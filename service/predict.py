"""The hot path: read, decode, predict, answer.

`routes` declares these endpoints to FastAPI, which documents them and could call them; `app` calls them
without it, because the framework's general way costs more than a prediction (docs/decisions/0005).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import torch
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from torch import Tensor

from service import explain
from service.admission import Admission
from service.batching import Answer, Batcher
from service.body import Body
from service.errors import DeadlineExceeded, FieldError, InvalidInput, RequestTimeout, UnsupportedMediaType
from service.images import Upload, find_digit, open_pictures, read_digits
from service.manifest import OutputSpec
from service.metrics import Metrics
from service.multipart import MAX_FILES, FileForm
from service.predictor import MAX_BATCH_ROWS
from service.problems import invalid_payload
from service.registry import Interface, Registry
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


@dataclass(frozen=True, slots=True)
class Backend:
    """What the endpoints stand on; `create_app` puts it on the application's state.

    `batchers` has those of the live versions, and changes when they do; `places` outlive them.
    """

    registry: Registry
    batchers: Mapping[str, Batcher]
    places: Mapping[str, Admission]
    pending_bytes: Admission
    metrics: Metrics
    max_body_bytes: int
    max_image_pixels: int
    request_timeout_s: float


def backend_of(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


async def answer_pass(request: Request) -> Response:
    """`POST /predict/pass`. Raises ServiceError, Abandoned or ClientDisconnect."""
    return await _in_time(request, PASS, _answer_pass)


async def answer_digit(request: Request) -> Response:
    """`POST /predict/digit`. Raises ServiceError, Abandoned or ClientDisconnect."""
    return await _in_time(request, DIGIT, _answer_digit)


class _Call:
    """One request to one model while it is under way."""

    __slots__ = ("_rows", "backend", "body", "expires_at", "model", "scope")

    def __init__(self, request: Request, model: str, backend: Backend) -> None:
        self.model = model
        self.backend = backend
        self.scope = request.scope
        self.body = Body(request, backend.max_body_bytes, backend.pending_bytes)
        timeout_s = _timeout_s(self.body.headers, backend.request_timeout_s)
        self.expires_at = asyncio.get_running_loop().time() + timeout_s
        self._rows = 0

    def admit(self, rows: int) -> None:
        """Take places for all rows of this request. Raises Overloaded."""
        places = self.backend.places[self.model]
        places.admit(rows)
        self._rows = rows
        self.backend.metrics.queue_rows.labels(self.model).set(places.taken)

    async def predict(self, rows: Tensor) -> Answer:
        batcher = self.backend.batchers[self.model]
        return await batcher.predict(rows, self.body.abandoned, self.expires_at)

    def end(self) -> None:
        self.body.forget()
        if self._rows:
            places = self.backend.places[self.model]
            places.release(self._rows)
            self.backend.metrics.queue_rows.labels(self.model).set(places.taken)


async def _in_time(
    request: Request, model: str, answer: Callable[[_Call], Awaitable[Response]]
) -> Response:
    """`answer`, cut off when its time is over; what it was admitted to is given back in any case."""
    backend = backend_of(request)
    backend.registry.get(model)  # not ready: say so before reading a body
    backend.places[model].check()
    call = _Call(request, model, backend)
    try:
        async with asyncio.timeout_at(call.expires_at):
            return await answer(call)
    except TimeoutError:
        if call.body.complete:
            raise DeadlineExceeded(
                "The time for this request was over before its answer was there."
            ) from None
        raise RequestTimeout("The time for this request was over before its body had come.") from None
    finally:
        call.end()


def _timeout_s(headers: Mapping[bytes, bytes], at_most: float) -> float:
    """What the client asks for in `X-Request-Timeout-Ms`, as far as we go along. Raises InvalidInput."""
    asked = headers.get(b"x-request-timeout-ms")
    if asked is None:
        return at_most
    if not (asked.isdigit() and len(asked) <= 9 and int(asked)):
        message = "must be a whole number of milliseconds, at least 1"
        raise InvalidInput(
            f"The header X-Request-Timeout-Ms {message}.", (FieldError("X-Request-Timeout-Ms", message),)
        )
    return min(at_most, int(asked) / 1000)


async def _answer_pass(call: _Call) -> Response:
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
    rows = torch.tensor(values, dtype=torch.float32).unsqueeze(1)
    decode_s = time.perf_counter() - started
    answer = await call.predict(rows)
    threshold, fitted_to = answer.manifest.threshold, answer.manifest.input
    low, high = fitted_to.training_minimum, fitted_to.training_maximum
    results = [
        {"hours": h, "probability": p, "passed": p >= threshold, "extrapolating": not low <= h <= high}
        for h, (p,) in zip(values, answer.outputs, strict=True)
    ]
    return _respond(call, values is hours, results, answer, decode_s)


async def _answer_digit(call: _Call) -> Response:
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


async def _explain_digit(call: _Call, uploads: list[Upload]) -> Response:
    if len(uploads) > 1:
        raise InvalidInput("Only one picture a request can be explained.")
    call.admit(explain.ROWS)
    started = time.perf_counter()
    (picture,) = open_pictures(uploads, call.backend.max_image_pixels)
    finding = await asyncio.to_thread(find_digit, picture)
    decode_s = time.perf_counter() - started
    answer = await call.predict(explain.occluded(finding.rows))
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
    call: _Call, many: bool, results: list[dict[str, Any]], answer: Answer, decode_s: float
) -> Response:
    """One result as it is, or several as `predictions`, with the model, its version and the timings."""
    served_by = {"model": answer.manifest.name, "version": answer.manifest.version}
    document = {"predictions": results, **served_by} if many else {**results[0], **served_by}
    stages = {"decode": decode_s, "queue": answer.queue_s, "infer": answer.infer_s}
    for stage, seconds in stages.items():
        call.backend.metrics.stages.labels(call.model, stage).observe(seconds)
    call.scope["state"]["prediction"] = served_by, stages, time.time_ns()  # for the log and the trace
    timings = ", ".join(f"{stage};dur={seconds * 1000:.3f}" for stage, seconds in stages.items())
    return _Json(to_json(document), timings)


class _Json(Response):
    """200 with a JSON body; made without the general constructor, which costs as much as decoding."""

    def __init__(self, body: bytes, server_timing: str) -> None:
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"server-timing", server_timing.encode()),
        ]


ENDPOINTS = {"/predict/pass": answer_pass, "/predict/digit": answer_digit}
