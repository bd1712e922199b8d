"""A replica of Ray Serve: the whole application, as `python -m service` has it."""

import asyncio
import logging.config
import sys
from contextlib import redirect_stderr
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.ray.figures import Figures
from service.app import create_app
from service.http.logs import log_config
from service.serving.health import check_live, check_ready
from service.serving.registry import Registry
from service.settings import Settings

QUEUED = "queued_batches"


class Replica:
    """Models are loaded before it counts as started, and closed once Serve has drained it."""

    def __init__(self, settings: Settings) -> None:
        """Raises KeysUnreadable or KeyUnusable."""
        # In its place Ray has what may hold back a thousand lines, and says that it is a terminal.
        with redirect_stderr(sys.__stderr__):
            logging.config.dictConfig(_log_config(settings))
        self._app = create_app(settings)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return Ingress(self._app)

    def check_health(self) -> None:
        """Healthy is what is live and ready: Serve sends requests to no other, and replaces it.

        Raises NotLive or NotReady.
        """
        check_live(self._registry)
        check_ready(self._registry)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What `autoscaling.ByQueue` goes by: full batches under way, of the model that has most."""
        served = self._registry.all_served()
        waiting = [each.permits.taken / each.endpoint.batch_rows for each in served]
        return {QUEUED: max(waiting, default=0.0)}

    @property
    def _registry(self) -> Registry:
        registry: Registry = self._app.state.backend.registry
        return registry


class Ingress:
    """The application as Serve calls it.

    It shows no routes. Serve would match each request with all of them once more, for figures that are
    the application's own anyway.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._app(scope, receive, _without_id(send))
        else:
            await self._live(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        figures = asyncio.create_task(Figures(self._app.state.metrics).keep_up())
        try:
            await self._app(scope, receive, send)
        finally:
            figures.cancel()


def _without_id(send: Send) -> Send:
    """Serve puts an `X-Request-ID` on each answer: the one that it has seen to that the request has."""

    async def send_once(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [header for header in message["headers"] if header[0] != b"x-request-id"]
            message = {**message, "headers": headers}
        await send(message)

    return send_once


def _log_config(settings: Settings) -> dict[str, Any]:
    """Ray has a root logger of its own."""
    config = log_config(settings.log_format, settings.log_level)
    config["loggers"]["service"] = {**config.pop("root"), "propagate": False}
    return config
