"""The hot path: read, decode, predict, answer.

`routes` declares these endpoints to FastAPI, which documents them and could call them; `app` calls them
without it, because the framework's general way costs more than a prediction (docs/decisions/0005).
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from service.batching import Answer, Batcher
from service.body import Body
from service.errors import UnsupportedMediaType
from service.images import Upload, open_pictures, read_digits
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
    """What the endpoints stand on; `create_app` puts it on the application's state."""

    registry: Registry
    batchers: Mapping[str, Batcher]
    max_body_bytes: int
    max_image_pixels: int


def backend_of(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


async def answer_pass(request: Request) -> Response:
    """`POST /predict/pass`. Raises ServiceError, Abandoned or ClientDisconnect."""
    backend = backend_of(request)
    backend.registry.get(PASS)  # not ready: say so before reading a body
    body = Body(request, backend.max_body_bytes)
    if body.media_type != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    chunks: list[bytes] = []
    await body.read(chunks.append)
    started = time.perf_counter()
    try:
        hours = PassRequest.model_validate_json(b"".join(chunks)).hours
    except ValidationError as error:
        raise invalid_payload(error) from error
    values = hours if isinstance(hours, list) else [hours]
    rows = torch.tensor(values, dtype=torch.float32).unsqueeze(1)
    decode_s = time.perf_counter() - started
    answer = await backend.batchers[PASS].predict(rows, body.abandoned)
    threshold = answer.manifest.threshold
    results = [
        {"hours": h, "probability": p, "passed": p >= threshold}
        for h, (p,) in zip(values, answer.outputs, strict=True)
    ]
    return _respond(values is hours, results, answer, decode_s)


async def answer_digit(request: Request) -> Response:
    """`POST /predict/digit`. Raises ServiceError, Abandoned or ClientDisconnect."""
    backend = backend_of(request)
    backend.registry.get(DIGIT)
    body = Body(request, backend.max_body_bytes)
    uploads = await _uploads(body)
    started = time.perf_counter()
    pictures = open_pictures(uploads, backend.max_image_pixels)
    if sum(picture.pixels for picture in pictures) <= INLINE_PIXELS:
        rows = read_digits(pictures)
    else:
        rows = await asyncio.to_thread(read_digits, pictures)
    decode_s = time.perf_counter() - started
    answer = await backend.batchers[DIGIT].predict(rows, body.abandoned)
    labels = answer.manifest.output.labels
    results = []
    for probabilities in answer.outputs:
        confidence = max(probabilities)
        digit = int(labels[probabilities.index(confidence)])
        results.append({"digit": digit, "confidence": confidence, "probabilities": probabilities})
    return _respond(len(uploads) > 1, results, answer, decode_s)


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


def _respond(many: bool, results: list[dict[str, Any]], answer: Answer, decode_s: float) -> Response:
    """One result as it is, or several as `predictions`, with the model, its version and the timings."""
    served_by = {"model": answer.manifest.name, "version": answer.manifest.version}
    document = {"predictions": results, **served_by} if many else {**results[0], **served_by}
    timings = (
        f"decode;dur={decode_s * 1000:.3f}, queue;dur={answer.queue_s * 1000:.3f},"
        f" infer;dur={answer.infer_s * 1000:.3f}"
    )
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
