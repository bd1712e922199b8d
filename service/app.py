"""The composition root: settings in, application out. Nothing happens at import."""

import asyncio
import gc
import logging
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial

import torch
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service import __version__
from service.artifacts.signatures import TrustedKeys
from service.artifacts.store import ArtifactStore
from service.connections.direct import DirectWay
from service.decoding.pool import Decoding
from service.endpoints.predict import ASKED, BATCH_ROWS, ENDPOINTS, FULL_ROWS, INTERFACES
from service.engine.cpus import usable_cpus
from service.engine.devices import resolve_device
from service.engine.predictor import Predictor
from service.http import reference
from service.http.auth import ApiKeys
from service.http.draining import draining
from service.http.keys import KeyFile
from service.http.methods import Methods
from service.http.middleware import Ledger, RequestContext
from service.http.openapi import describe_problems
from service.http.routes import router
from service.problems import (
    found_in,
    http_problem_response,
    invalid_payload,
    problem_response,
    request_id_of,
)
from service.serving.admission import Admission
from service.serving.batching import Batcher
from service.serving.call import Backend, Patrol
from service.serving.metrics import Metrics
from service.serving.registry import Registry
from service.serving.reload import Reloader
from service.serving.watchdog import Watchdog
from service.settings import KeyContents, Settings, Traces

logger = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.00005
MOST_DECODERS = 8  # each may take 150 MB for a picture
EXPOSED_FIELDS = ("X-Request-ID", "Server-Timing", "Retry-After")  # to pages of other origins


class Abacus(FastAPI):
    """FastAPI, but the hot endpoints are called before its routing, and before its own middleware."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        keys: KeyFile | None,
        trusted: TrustedKeys | None,
    ) -> None:
        super().__init__(
            title="Abacus",
            summary="PyTorch models over HTTP",
            version=__version__,
            lifespan=partial(_lifespan, settings=settings, trusted=trusted),
            docs_url=None,  # reference.py has it
            redoc_url=None,
        )
        self._prefix = settings.root_path
        ledger = Ledger(metrics, settings.access_log)
        traced = _tracing(settings.traces)

        def surrounded(app: ASGIApp) -> ASGIApp:
            if keys:
                app = ApiKeys(app, keys, settings.open_paths)
            app = traced(RequestContext(app, ledger))
            if settings.cors_origins:
                app = CORSMiddleware(
                    app,
                    settings.cors_origins,
                    ("GET", "HEAD", "POST"),
                    ("*",),
                    expose_headers=EXPOSED_FIELDS,
                )
            return app

        self._hot = {path: surrounded(_asgi(endpoint)) for path, endpoint in ENDPOINTS.items()}
        self.add_middleware(Methods)
        self.add_middleware(surrounded)
        self.state.metrics = metrics
        self.state.stuck = False  # True when it has stopped and a thread still computes
        self.state.keys = keys
        # By path; none where every request needs more than an answer.
        self.direct: dict[bytes, DirectWay] = {}
        if settings.traces == "off" and not settings.cors_origins:
            self.direct = {
                path.encode(): DirectWay(model, read, ask, lambda: self.state.backend, ledger, keys)
                for path, (model, read, ask) in ASKED.items()
            }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._prefix and scope["type"] == "http":
            scope["root_path"] = self._prefix
            # Most proxies take their prefix away; this is from one that leaves it.
            scope["path"] = _below(self._prefix, scope["path"])
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._hot.get(scope["path"])
            if endpoint:
                scope["app"] = self
                await endpoint(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def create_app(
    settings: Settings | None = None,
    metrics_folder: str | None = None,
    key_contents: KeyContents = KeyContents(),  # noqa: B008  it is immutable
) -> FastAPI:
    """Build the application. Models are loaded when it starts, before it accepts a connection.

    Without an argument the settings come from the environment, so that
    `uvicorn --factory service.app:create_app` works. Several workers share metrics in `metrics_folder`.
    Raises KeysUnreadable or KeyUnusable.
    """
    settings = settings or Settings()
    api_keys, trusted_keys = key_contents
    keys = KeyFile(settings.api_keys_file, api_keys) if settings.api_keys_file else None
    trusted = TrustedKeys(settings.trusted_keys, trusted_keys) if settings.trusted_keys else None
    app = Abacus(settings, Metrics(metrics_folder), keys, trusted)
    app.include_router(router)
    app.include_router(reference.router)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    describe_problems(app, needs_key=settings.api_keys_file is not None)
    return app


def _below(root_path: str, path: str) -> str:
    return (path[len(root_path) :] or "/") if f"{path}/".startswith(f"{root_path}/") else path


def _tracing(traces: Traces) -> Callable[[ASGIApp], ASGIApp]:
    """The middleware that makes spans. OpenTelemetry's SDK is imported only where it is wanted."""
    if traces == "off":
        return lambda app: app
    from service.http.tracing import Tracing, make_provider

    return partial(Tracing, provider=make_provider(traces))


def _asgi(endpoint: Callable[[Scope, Receive], Awaitable[Response]]) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(scope, receive)
        await response(scope, receive, send)

    return call


@asynccontextmanager
async def _lifespan(app: FastAPI, settings: Settings, trusted: TrustedKeys | None) -> AsyncIterator[None]:
    # Pillow remarks on damaged uploads. The client is answered; whoever uploads must not fill our log.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    cpus = usable_cpus()
    threads = settings.threads or max(1, cpus // settings.workers - 1)
    torch.set_num_threads(threads)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(cpus, "elsewhere"))
    device = resolve_device(settings.device)
    logger.info("device %s, artifacts in %s, %d thread(s)", device, settings.artifacts, threads)
    store = ArtifactStore(settings.artifacts)
    registry = Registry(store, INTERFACES, device, settings.precision, trusted, settings.max_model_bytes)
    backend, reloader = _backend(registry, app.state.metrics, settings)
    app.state.backend = backend
    watchdog = Watchdog(lambda: reloader.computing, registry.hang, settings.batch_timeout_s)
    watchdog.start()
    # A thread that computes can hand over its answers only with the interpreter lock, which the event loop
    # gives up after this long: by default 5 ms, as much as a whole batch takes.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    await reloader.start(settings.reload_s)
    # What is loaded stays: a full collection of torch's 300,000 objects would hold up requests for 60 ms.
    gc.freeze()
    gc.enable()
    backend.decoding.start()
    with _keys_kept_up(app.state.keys, app.state.metrics), draining(registry.stop, settings.drain_s):
        yield
    backend.documents.shutdown(wait=False)
    await backend.decoding.close()
    gc.unfreeze()
    app.state.stuck = not await reloader.close()
    watchdog.stop()


def _keys_kept_up(keys: KeyFile | None, metrics: Metrics) -> AbstractContextManager[None]:
    return keys.kept_up(metrics.api_keys_read_failures.inc) if keys else nullcontext()


def _backend(registry: Registry, metrics: Metrics, settings: Settings) -> tuple[Backend, Reloader]:
    places = {
        name: Admission(
            settings.max_queued_batches * rows, f"rows of {name!r}", metrics.queue_rows(name).set
        )
        for name, rows in FULL_ROWS.items()
    }

    def make_batcher(predictor: Predictor) -> Batcher:
        name = predictor.manifest.name
        batch_rows = metrics.batch_rows(name)

        def on_batch(rows: int, seconds: float) -> None:
            batch_rows.observe(rows)
            places[name].measure(rows, seconds)

        return Batcher(predictor, BATCH_ROWS[name], on_batch)

    reloader = Reloader(registry, make_batcher, metrics, settings.load_timeout_s)
    cpus = usable_cpus() // settings.workers
    metrics.show(registry.manifests)
    backend = Backend(
        registry=registry,
        batchers=reloader.batchers,
        documents=ThreadPoolExecutor(1, "documents"),
        decoding=Decoding(min(MOST_DECODERS, 1 + cpus), settings.max_image_pixels),
        places=places,
        pending_bytes=Admission(settings.max_pending_bytes, "bytes of bodies"),
        patrol=Patrol(),
        metrics=metrics,
        max_body_bytes=settings.max_body_bytes,
        max_image_pixels=settings.max_image_pixels,
        request_timeout_s=settings.request_timeout_s,
    )
    return backend, reloader


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return http_problem_response(error, request_id_of(request))


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(invalid_payload(found_in(error)), request_id_of(request))
