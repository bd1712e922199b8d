"""The protocol's paths, declared: what each takes and answers, and its errors."""

from typing import Any

from fastapi import APIRouter, Request, Response

from service import errors
from service.endpoints.dispatch import BackendDep
from service.errors import InvalidRequest, NotLive, NotReady, ReadOnlyRepository, UnknownModel
from service.problems import PROTOCOL, error_responses
from service.protocol import infer
from service.protocol.metadata import (
    IndexEntry,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    index,
    model_config,
    model_metadata,
)
from service.protocol.repository import (
    MAX_QUESTION_BYTES,
    Change,
    IndexQuestion,
    Question,
    check_changes_nothing,
    controlled,
    in_openapi,
    question,
)
from service.protocol.statistics import statistics
from service.serving.body import Body
from service.serving.call import Backend
from service.serving.health import check_live, check_ready

MODEL, VERSION = "/models/{name}", "/models/{name}/versions/{version}"

router = APIRouter(prefix=PROTOCOL, tags=["protocol"])

_OF_MODEL = error_responses(UnknownModel, errors.UnknownVersion, NotReady, path=PROTOCOL)
_QUESTION = (
    InvalidRequest,
    errors.RequestTimeout,
    errors.PayloadTooLarge,
    errors.UnsupportedCoding,
    errors.Overloaded,
)
_CONTROLLED = error_responses(*_QUESTION, UnknownModel, ReadOnlyRepository, NotReady, path=PROTOCOL)


@router.get("", summary="What the service is, and which extensions it has")
async def server_metadata() -> ServerMetadata:
    return ServerMetadata()


@router.get(
    "/health/live",
    summary="Does the process answer, and end what it computes?",
    responses=error_responses(NotLive, path=PROTOCOL),
)
async def server_live(backend: BackendDep) -> ServerLive:
    check_live(backend.registry)
    return ServerLive()


@router.get(
    "/health/ready",
    summary="Is every model ready?",
    responses=error_responses(NotReady, path=PROTOCOL),
)
async def server_ready(backend: BackendDep) -> ServerReady:
    check_ready(backend.registry)
    return ServerReady()


@router.get("/models/stats", summary="What has been computed by every version that is loaded")
async def all_statistics(backend: BackendDep) -> dict[str, Any]:
    return statistics(backend.metrics, backend.registry, None, None)


@router.get(MODEL, summary="The tensors that a model takes and gives", responses=_OF_MODEL)
@router.get(VERSION, summary="Those of one version", responses=_OF_MODEL)
async def metadata(backend: BackendDep, name: str, version: str | None = None) -> ModelMetadata:
    return model_metadata(backend.served(name, version), backend.registry)


@router.get(f"{MODEL}/ready", summary="Can a model be asked?", responses=_OF_MODEL)
@router.get(f"{VERSION}/ready", summary="Can one version be asked?", responses=_OF_MODEL)
async def ready(backend: BackendDep, name: str, version: str | None = None) -> ModelReady:
    backend.served(name, version)
    return ModelReady(name=name)


@router.get(
    f"{MODEL}/config", summary="Its configuration, as Triton's clients know one", responses=_OF_MODEL
)
@router.get(f"{VERSION}/config", summary="That of one version", responses=_OF_MODEL)
async def config(backend: BackendDep, name: str, version: str | None = None) -> dict[str, Any]:
    served = backend.served(name, version)
    return model_config(served.manifest, infer.most_rows(served.endpoint))


@router.get(
    f"{MODEL}/stats",
    summary="What has been computed by the versions of a model that are loaded",
    responses=_OF_MODEL,
)
@router.get(f"{VERSION}/stats", summary="What has been computed by one of them", responses=_OF_MODEL)
async def model_statistics(backend: BackendDep, name: str, version: str | None = None) -> dict[str, Any]:
    backend.served(name, version)
    return statistics(backend.metrics, backend.registry, name, version)


@router.post(f"{MODEL}/infer", include_in_schema=False)
@router.post(f"{VERSION}/infer", include_in_schema=False)
async def infer_with(request: Request) -> Response:
    """`description` describes them, a path for each model."""
    return await infer.answer(request.scope, request.receive)


@router.post(
    "/repository/index",
    summary="Every version that is loaded, and the models of which none is",
    responses=error_responses(*_QUESTION, path=PROTOCOL),
    openapi_extra=in_openapi(IndexQuestion),
)
async def repository_index(request: Request, backend: BackendDep) -> list[IndexEntry]:
    """`{"ready": true}`, as the body, leaves the latter out."""
    asked = await _question(request, backend, IndexQuestion)
    return index(backend.registry, asked.ready)


@router.post(
    "/repository/models/{name}/load",
    summary="Serve a model that was unloaded",
    responses=_CONTROLLED,
    openapi_extra=in_openapi(Change),
)
async def repository_load(request: Request, backend: BackendDep, name: str) -> None:
    """Answers when it is ready. Refused, unless `--allow-repository-control`: the store alone decides."""
    repository = controlled(backend, name)
    check_changes_nothing((await _question(request, backend, Change)).parameters)
    await repository.load(name)


@router.post(
    "/repository/models/{name}/unload",
    summary="Serve a model no longer",
    responses=_CONTROLLED,
    openapi_extra=in_openapi(Change),
)
async def repository_unload(request: Request, backend: BackendDep, name: str) -> None:
    """What is under way is answered. Refused, unless `--allow-repository-control`."""
    repository = controlled(backend, name)
    await _question(request, backend, Change)
    await repository.unload(name)


async def _question(request: Request, backend: Backend, kind: type[Question]) -> Question:
    body = Body(request.scope, request.receive, MAX_QUESTION_BYTES, backend.pending_bytes)
    return await question(body, kind, backend.request_timeout_s)
