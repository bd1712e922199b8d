"""The service's own routes, declared: what each takes, what it answers, and its errors."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from service import errors
from service.endpoints import dispatch
from service.endpoints.dispatch import PREFIX, BackendDep
from service.endpoints.schemas import Engine, Live, ModelInfo, Models, Ready, WayTaken
from service.errors import NotLive, NotReady
from service.http.exposition_form import form_of
from service.problems import error_responses
from service.serving.health import check_live, check_ready
from service.serving.registry import Registry
from service.serving.served import Served

router = APIRouter()


@router.post(PREFIX + "{name}", include_in_schema=False)
@router.post(PREFIX + "{name}/versions/{version}", include_in_schema=False)
async def predict_with(request: Request) -> Response:
    """`openapi` describes them, a path for each model."""
    return await dispatch.answer(request.scope, request.receive)


@router.get(
    "/health/live",
    tags=["health"],
    summary="Does the process answer, and end what it computes?",
    responses=error_responses(NotLive),
)
async def live(backend: BackendDep) -> Live:
    check_live(backend.registry)
    return Live()


@router.get(
    "/health/ready",
    tags=["health"],
    summary="Is every model loaded, verified, checked and warm?",
    responses=error_responses(NotReady),
)
async def ready(backend: BackendDep) -> Ready:
    check_ready(backend.registry)
    return Ready(models={m.name: m.version for m in backend.registry.manifests()})


@router.get(
    "/metrics",
    tags=["health"],
    summary="Counts and durations, for Prometheus",
    response_class=PlainTextResponse,
    responses={200: {"content": {"application/openmetrics-text": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request, backend: BackendDep) -> Response:
    """Of all workers together, in the exposition format that `Accept` asks for."""
    form = form_of(", ".join(request.headers.getlist("accept")))
    return Response(backend.metrics.of_all_workers(form.write), headers={"Content-Type": form.content_type})


@router.get("/models", tags=["models"], summary="Every model of this service")
async def models(backend: BackendDep) -> Models:
    return Models(models=[_model_info(backend.registry, n) for n in backend.registry.names])


@router.get(
    "/models/{name}",
    tags=["models"],
    summary="One model: its live version, device and manifest",
    responses=error_responses(errors.UnknownModel, NotReady),
)
async def model(name: str, backend: BackendDep) -> ModelInfo:
    return _model_info(backend.registry, name)


def _model_info(registry: Registry, name: str) -> ModelInfo:
    served, state = registry.live(name), registry.state(name)
    manifest = served.manifest if served else None
    return ModelInfo(
        name=name,
        ready=served is not None,
        device=str(served.predictor.device if served else registry.device),
        version=manifest.version if manifest else None,
        loaded=list(state.versions),
        labels=state.labels,
        without=state.kept_out,
        available=list(state.available),
        store_silent_since=state.silent_since,
        refused=registry.refused(name),
        engine=_engine(served),
        manifest=manifest,
    )


def _engine(served: Served | None) -> Engine | None:
    found = served.predictor.explained if served else None
    if not found:
        return None
    taken = [WayTaken(rows=one.rows, way=one.way, of_plain=one.of_plain) for one in found.taken]
    return Engine(taken=taken, not_taken=dict(found.not_taken))
