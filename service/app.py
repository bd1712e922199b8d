"""The composition root: settings in, application out. Nothing happens at import."""

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from service import __version__
from service.batching import Batcher
from service.errors import ServiceError
from service.manifest import ArtifactStore
from service.middleware import BodyLimit, RequestContext
from service.predictor import resolve_device
from service.problems import (
    http_problem_response,
    invalid_payload,
    problem_response,
    request_id_of,
)
from service.registry import Registry
from service.routes import INTERFACES, Backend, router
from service.schemas import Problem
from service.settings import Settings

logger = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application. Models are loaded when it starts, before it accepts a connection.

    Without an argument the settings come from the environment, so that
    `uvicorn --factory service.app:create_app` works.
    """
    settings = settings or Settings()
    app = FastAPI(
        title="Abacus",
        summary="PyTorch models over HTTP",
        version=__version__,
        lifespan=partial(_lifespan, settings=settings),
    )
    app.include_router(router)
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(RequestContext)  # added last: it is outermost
    _describe_problems(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    # Pillow remarks on damaged uploads. The client is answered; whoever uploads must not fill our log.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    device = resolve_device(settings.device)
    logger.info("device %s, artifacts in %s", device, settings.artifacts)
    registry = Registry(ArtifactStore(settings.artifacts), INTERFACES, device)
    await asyncio.to_thread(registry.load)
    batchers = {name: Batcher(partial(registry.get, name)) for name in registry.names}
    app.state.backend = Backend(registry, batchers, settings.max_image_pixels)
    yield
    for batcher in batchers.values():
        batcher.close()


async def _on_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    if error.status >= 500 and error.retry_after_s is None:
        logger.error("request failed id=%s", request_id_of(request), exc_info=error)
    return problem_response(error, request_id_of(request))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return http_problem_response(error, request_id_of(request))


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(invalid_payload(error), request_id_of(request))


def _describe_problems(app: FastAPI) -> None:
    """Make the OpenAPI document true about errors: ours are Problems, and FastAPI's own never occur."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        components = document.setdefault("components", {}).setdefault("schemas", {})
        components.update(schema.pop("$defs", {}), Problem=schema)
        if components.pop("HTTPValidationError", None):
            # FastAPI adds it to every route with a parameter; ours is a path segment, which any text fits.
            del components["ValidationError"]
            del document["paths"]["/models/{name}"]["get"]["responses"]["422"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
