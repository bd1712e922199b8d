"""The control of the memory test: the service, losing 100 bytes with every request."""

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from service.app import create_app

LEAK_BYTES = 100


class Leaking:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._lost: list[bytearray] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._lost.append(bytearray(LEAK_BYTES))
        await self._app(scope, receive, send)


def create_leaking_app() -> ASGIApp:
    app: FastAPI = create_app()
    return Leaking(app)
