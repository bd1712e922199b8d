"""A service on a thread of the tests' own process, and what is said to it over plain sockets."""

import json
import socket
import threading
from asyncio import Protocol
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from service.app import Abacus, create_app
from service.server import connection
from service.settings import Settings
from tests.conftest import wait_for

JSON = "application/json"


class Watched(NamedTuple):
    """A service on a thread of this process; `by_asgi` has the paths that took the usual way."""

    client: httpx.Client
    by_asgi: list[str]
    app: FastAPI
    server: uvicorn.Server


@contextmanager
def watched(
    published: Path, http: str | None = None, keep_alive_s: int = 60, **settings: Any
) -> Iterator[Watched]:
    """`http`: uvicorn's protocol of that name, in place of our connection."""
    app = create_app(Settings(artifacts=published, **settings))
    by_asgi: list[str] = []
    usual = Abacus.__call__

    async def counted(self: Abacus, scope: Scope, receive: Receive, send: Send) -> None:
        if self is app and scope["type"] == "http":
            by_asgi.append(scope["path"])
        await usual(self, scope, receive, send)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Abacus, "__call__", counted)
        config = uvicorn.Config(
            app,
            port=0,
            http=cast(type[Protocol], http or connection),
            timeout_keep_alive=keep_alive_s,
            log_config=None,
            proxy_headers=False,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        wait_for(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            yield Watched(client, by_asgi, app, server)
        server.should_exit = True
        thread.join(30)


def head(body: bytes, content_type: str = JSON, path: str = "/predict/pass", *fields: str) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {content_type}", *fields)
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()


def asked(hours: float, *fields: str) -> bytes:
    body = b'{"hours": %g}' % hours
    return head(body, JSON, "/predict/pass", *fields) + body


def connect(service: Watched) -> socket.socket:
    url = service.client.base_url
    return socket.create_connection((url.host, url.port or 80), timeout=120)


def answers(connection: socket.socket, count: int) -> list[tuple[int, dict[str, Any]]]:
    """The next answers: status and document."""
    found: list[tuple[int, dict[str, Any]]] = []
    read = b""
    while len(found) < count:
        chunk = connection.recv(65536)
        assert chunk, "the connection was closed"
        read += chunk
        while b"\r\n\r\n" in read:
            fields, _, rest = read.partition(b"\r\n\r\n")
            length = int(fields.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            if len(rest) < length:
                break
            found.append((int(fields.split()[1]), json.loads(rest[:length])))
            read = rest[length:]
    return found
