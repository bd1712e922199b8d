"""The composition root: settings in, application out. Nothing happens at import."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from fastapi import FastAPI, Request, Response
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from service import __version__
from service.artifacts.shipped import located
from service.artifacts.signatures import TrustedKeys, trusted_by
from service.endpoints import dispatch
from service.fast_path import asgi
from service.fast_path.paths import paths_of
from service.http import page, reference
from service.http.auth import ApiKeys, OpenPaths
from service.http.keys import KeyFile
from service.http.methods import Methods
from service.http.middleware import Ledger, RequestContext
from service.http.openapi import Description
from service.http.policy import CrossOrigin
from service.http.routes import router
from service.lifespan import lifespan
from service.option_types import Traces
from service.problems import http_problem_response
from service.protocol import infer, routes
from service.request_id import request_id_of
from service.serving.loading import Preloaded
from service.serving.metrics import Metrics
from service.settings import KeyContents, Settings, read_settings

Spans: TypeAlias = Any  # of service.http.tracing, which needs an extra


class Abacus(FastAPI):
    """FastAPI, but the hot endpoints are called before its routing, and before its own middleware."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        keys: KeyFile | None,
        trusted: TrustedKeys | None,
        shared: Path | None,
        preloaded: Preloaded | None,
    ) -> None:
        super().__init__(
            title="Abacus",
            summary="PyTorch models over HTTP",
            version=__version__,
            lifespan=partial(
                lifespan, settings=settings, trusted=trusted, shared=shared, preloaded=preloaded
            ),
            docs_url=None,  # reference.py has it
            redoc_url=None,
            redirect_slashes=False,  # it would name the address that a proxy asked, not the client's
        )
        self._prefix = settings.root_path
        ledger = Ledger(metrics, settings.access_log)
        spans = _spans(settings.traces)
        open_paths = OpenPaths(settings.open_paths)

        def noted(app: ASGIApp) -> ASGIApp:
            within = RequestContext(app, ledger)
            return spans.tracing(within) if spans else within

        def surrounded(app: ASGIApp) -> ASGIApp:
            if keys:
                app = ApiKeys(app, keys, open_paths)
            app = noted(app)
            return CrossOrigin(app, settings.cors_origins, noted) if settings.cors_origins else app

        self._predict = surrounded(_asgi(dispatch.answer))
        self._infer = surrounded(_asgi(infer.answer))
        self.add_middleware(Methods)
        self.add_middleware(surrounded)
        self.state.metrics = metrics
        self.state.stuck = False  # True when it has stopped and a thread still computes
        self.state.keys = keys
        self.state.ledger = ledger
        self.state.spans = spans
        # Spans and the fields of CORS are put around an answer by ASGI alone.
        self.has_fast_path = settings.traces == "off" and not settings.cors_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._prefix and scope["type"] == "http":
            scope["root_path"] = self._prefix
            scope["path"] = _below(self._prefix, scope["path"])
        if scope["type"] == "http" and (answer := self._asks_a_model(scope)):
            scope["app"] = self
            await asgi.answer(paths_of(self), answer, scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    def _asks_a_model(self, scope: Scope) -> ASGIApp | None:
        """What answers a request that asks a model, known or not; None: the router has it."""
        for target_of, answer in ((dispatch.target_of, self._predict), (infer.target_of, self._infer)):
            target = target_of(get_route_path(scope))
            if target:
                asks = scope["method"] == "POST" or not self.state.backend.registry.knows(target.name)
                return answer if asks else None
        return None


def create_app(
    settings: Settings | None = None,
    metrics_folder: str | None = None,
    key_contents: KeyContents = KeyContents(),  # noqa: B008  it is immutable
    preloaded: Preloaded | None = None,
) -> FastAPI:
    """Build the application. Models are loaded when it starts, before it accepts a connection.

    Without an argument the settings come from the environment, so that
    `uvicorn --factory service.app:create_app` works. Several workers share metrics in `metrics_folder`,
    and what requests have unloaded; `preloaded` models are not loaded again.
    Raises SettingsUnusable, KeysUnreadable or KeyUnusable.
    """
    settings = settings or located(read_settings())
    api_keys, trusted_keys = key_contents
    keys = KeyFile(settings.api_keys_file, api_keys) if settings.api_keys_file else None
    trusted = trusted_by(settings, trusted_keys)
    shared = Path(metrics_folder) if metrics_folder else None
    app = Abacus(settings, Metrics(metrics_folder), keys, trusted, shared, preloaded)
    app.include_router(router)
    app.include_router(page.router)
    app.include_router(routes.router)
    app.include_router(reference.router)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.openapi = Description(app, OpenPaths(settings.open_paths) if keys else None)  # type: ignore[method-assign]
    return app


def _below(root_path: str, path: str) -> str:
    """As ASGI has it, beginning with the prefix once: most proxies take theirs away, and some leave it."""
    if path in (root_path, "*"):
        return path if path == "*" else f"{root_path}/"
    return path if path.startswith(f"{root_path}/") else root_path + path


def _spans(traces: Traces) -> Spans | None:
    """What makes spans. OpenTelemetry's SDK is imported only where it is wanted."""
    if traces == "off":
        return None
    from service.http.tracing import Spans, make_provider

    return Spans(make_provider(traces))


def _asgi(endpoint: Callable[[Scope, Receive], Awaitable[Response]]) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(scope, receive)
        await response(scope, receive, send)

    return call


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return http_problem_response(error, request_id_of(request.scope), get_route_path(request.scope))
