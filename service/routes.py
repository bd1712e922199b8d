"""The HTTP surface: read, decode, predict, answer. What each step means is decided further down."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ValidationError

from service import errors
from service.batching import Answer, Batcher
from service.errors import FieldError, NotReady, UnsupportedMediaType
from service.images import Upload, open_pictures, read_digits
from service.manifest import Manifest
from service.multipart import MAX_FILES, read_files
from service.problems import error_responses, invalid_payload
from service.registry import Interface, Registry
from service.schemas import (
    DigitPrediction,
    DigitPredictions,
    DigitResult,
    Live,
    ModelInfo,
    Models,
    PassPrediction,
    PassPredictions,
    PassRequest,
    PassResult,
    Ready,
)

PASS, DIGIT = "pass", "digit"

INTERFACES = {
    PASS: Interface("hours", "float32", (-1, 1), (-1, 1)),
    DIGIT: Interface("images", "uint8", (-1, 1, 28, 28), (-1, 10)),
}

# Up to so many pixels in all are decoded on the event loop: a thread's round trip costs more than they do.
INLINE_PIXELS = MAX_FILES * 28 * 28

router = APIRouter()


@dataclass(frozen=True)
class Backend:
    """What the routes stand on; `create_app` puts it on the application's state."""

    registry: Registry
    batchers: Mapping[str, Batcher]
    max_image_pixels: int


async def backend_of(request: Request) -> Backend:  # async: FastAPI runs plain functions in a thread
    backend: Backend = request.app.state.backend
    return backend


BackendDep = Annotated[Backend, Depends(backend_of)]

_BODY_ERRORS = (
    errors.LengthRequired,
    errors.PayloadTooLarge,
    errors.UnsupportedMediaType,
    errors.InvalidInput,
    errors.InferenceFailed,
    errors.NotReady,
)


def _request_body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/predict/pass",
    tags=["predict"],
    summary="Probability of passing after some hours of study",
    response_model=PassPrediction | PassPredictions,
    responses=error_responses(*_BODY_ERRORS),
    openapi_extra=_request_body({"application/json": {"schema": PassRequest.model_json_schema()}}),
)
async def predict_pass(request: Request, backend: BackendDep) -> Response:
    """`hours` is one number, answered by one prediction, or a list, answered by a list in its order."""
    backend.registry.get(PASS)  # not ready: say so before reading a body
    if _media_type(request) != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    body = await request.body()
    started = time.perf_counter()
    try:
        hours = PassRequest.model_validate_json(body).hours
    except ValidationError as error:
        raise invalid_payload(error) from error
    values = hours if isinstance(hours, list) else [hours]
    rows = torch.tensor(values, dtype=torch.float32).unsqueeze(1)
    decode_s = time.perf_counter() - started
    answer = await backend.batchers[PASS].predict(rows)
    results = [
        PassResult(hours=h, probability=p, passed=p >= answer.manifest.threshold)
        for h, p in zip(values, answer.outputs.squeeze(1).tolist(), strict=True)
    ]
    return _respond(values is hours, results, PassPrediction, PassPredictions, answer, decode_s)


@router.post(
    "/predict/digit",
    tags=["predict"],
    summary="The handwritten digit on a picture",
    response_model=DigitPrediction | DigitPredictions,
    responses=error_responses(*_BODY_ERRORS),
    openapi_extra=_request_body(
        {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "minItems": 1,
                            "maxItems": MAX_FILES,
                        }
                    },
                    "required": ["file"],
                    "additionalProperties": False,
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        }
    ),
)
async def predict_digit(request: Request, backend: BackendDep) -> Response:
    """PNG, JPEG, WebP, BMP, GIF or TIFF. One picture as the body itself or as the form field `file`
    is answered by one prediction; several `file` fields by a list in their order.
    """
    backend.registry.get(DIGIT)
    uploads = await _read_uploads(request)
    started = time.perf_counter()
    pictures = open_pictures(uploads, backend.max_image_pixels)
    if sum(picture.pixels for picture in pictures) <= INLINE_PIXELS:
        rows = read_digits(pictures)
    else:
        rows = await asyncio.to_thread(read_digits, pictures)
    decode_s = time.perf_counter() - started
    answer = await backend.batchers[DIGIT].predict(rows)
    results = [_digit_result(row, answer.manifest) for row in answer.outputs.tolist()]
    return _respond(len(uploads) > 1, results, DigitPrediction, DigitPredictions, answer, decode_s)


@router.get("/health/live", tags=["health"], summary="Does the process answer?")
async def live() -> Live:
    return Live()


@router.get(
    "/health/ready",
    tags=["health"],
    summary="Is every model loaded, verified, checked and warm?",
    responses=error_responses(NotReady),
)
async def ready(backend: BackendDep) -> Ready:
    refused = backend.registry.refused()
    if refused:
        reasons = tuple(FieldError(name, why) for name, why in refused.items())
        raise NotReady(f"Not ready to serve: {', '.join(refused)}.", reasons)
    names = backend.registry.names
    return Ready(models={n: backend.registry.get(n).manifest.version for n in names})


@router.get("/models", tags=["models"], summary="Every model of this service")
async def models(backend: BackendDep) -> Models:
    return Models(models=[_model_info(backend.registry, n) for n in backend.registry.names])


@router.get(
    "/models/{name}",
    tags=["models"],
    summary="One model: its live version, device and manifest",
    responses=error_responses(errors.UnknownModel),
)
async def model(name: str, backend: BackendDep) -> ModelInfo:
    return _model_info(backend.registry, name)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read_uploads(request: Request) -> list[Upload]:
    media_type = _media_type(request)
    if media_type.startswith("image/"):
        return [Upload("body", await request.body())]
    if media_type == "multipart/form-data":
        files = read_files(await request.body(), request.headers["content-type"])
        return [Upload(f"file.{i}" if len(files) > 1 else "file", f) for i, f in enumerate(files)]
    raise UnsupportedMediaType(
        "Send the picture as multipart/form-data in the field 'file', or as the body with"
        " Content-Type: image/*."
    )


def _digit_result(probabilities: list[float], manifest: Manifest) -> DigitResult:
    confidence = max(probabilities)
    digit = int(manifest.output.labels[probabilities.index(confidence)])
    return DigitResult(digit=digit, confidence=confidence, probabilities=probabilities)


def _model_info(registry: Registry, name: str) -> ModelInfo:
    predictor = registry.live(name)
    manifest = predictor.manifest if predictor else None
    return ModelInfo(
        name=name,
        ready=predictor is not None,
        device=str(registry.device),
        version=manifest.version if manifest else None,
        refused=registry.refused().get(name),
        manifest=manifest,
    )


def _respond(
    many: bool,
    results: list[Any],
    one_type: type[BaseModel],
    many_type: type[BaseModel],
    answer: Answer,
    decode_s: float,
) -> Response:
    """One result as it is, or several as `predictions`, with the model, its version and the timings."""
    served_by = {"model": answer.manifest.name, "version": answer.manifest.version}
    if many:
        document = many_type(predictions=results, **served_by)
    else:
        document = one_type(**dict(results[0]), **served_by)
    timings = {"decode": decode_s, "queue": answer.queue_s, "infer": answer.infer_s}
    header = ", ".join(f"{name};dur={s * 1000:.3f}" for name, s in timings.items())
    return Response(
        document.model_dump_json(), headers={"Server-Timing": header}, media_type="application/json"
    )
