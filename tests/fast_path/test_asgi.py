"""The fast path by ASGI: what another server brings is answered directly, too, if it is there whole."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope

from service.app import create_app
from service.serving.call import Call
from service.settings import Settings
from tests.conftest import Digits, metric_sum, png, running, wait_for
from tests.connections.watched import JSON, answers, asked, connect, head, watched
from tests.protocol.wire import tensor

HOURS = b'{"hours": 4}'


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of requests that took the usual way."""
    paths: list[str] = []
    answered = Call.answered

    async def counted(call: Call, answer: Any) -> Response:
        paths.append(call.scope["path"])
        return await answered(call, answer)

    monkeypatch.setattr(Call, "answered", counted)
    return paths


@pytest.mark.parametrize("protocol", ["httptools", "h11"])
def test_what_a_plain_uvicorn_has_whole_goes_directly(
    published: Path, digits: Digits, usual: list[str], protocol: str
) -> None:
    picture = png(digits.images_u8[0])
    form = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + picture + b"\r\n--b--\r\n"
    inputs = json.dumps({"inputs": [tensor("hours", np.array([4], np.float32))]}).encode()
    whole = [
        asked(4),
        head(picture, "image/png", "/predict/digit") + picture,
        head(form, "multipart/form-data; boundary=b", "/predict/digit") + form,
        head(inputs, JSON, "/v2/models/pass/infer") + inputs,
    ]
    others = [head(picture, "image/png", "/predict/digit?explain=true") + picture, asked(-1)]
    with watched(published, http=protocol) as service, closing(connect(service)) as connection:
        found = []
        for request in whole:
            connection.sendall(request)
            found += answers(connection, 1)
        assert usual == []
        for request in others:
            connection.sendall(request)
            found += answers(connection, 1)
        text = service.client.get("/metrics").text
    assert [status for status, _ in found] == [200, 200, 200, 200, 200, 422]
    assert found[1][1] == found[2][1]
    assert usual == ["/predict/digit", "/predict/pass"]
    noted = 'abacus_requests_total{method="POST",route="/predict/%s",status="%d"'
    assert metric_sum(text, noted % ("digit", 200)) == 3
    assert metric_sum(text, noted % ("pass", 200)) == metric_sum(text, noted % ("pass", 422)) == 1


def test_a_body_that_is_late_is_not_waited_for(published: Path, usual: list[str]) -> None:
    with watched(published, http="httptools") as service, closing(connect(service)) as connection:
        request = asked(4)
        connection.sendall(request[: -len(HOURS)])
        wait_for(lambda: service.by_asgi)
        for piece in (request[-len(HOURS) : -5], request[-5:]):
            time.sleep(0.05)
            connection.sendall(piece)
        status, document = answers(connection, 1)[0]
    assert (status, document["hours"]) == (200, 4)
    assert usual == ["/predict/pass"]


async def test_a_receive_that_has_begun_goes_on(client: httpx.AsyncClient, usual: list[str]) -> None:
    """If it were given up, a body from a generator would seem to be over."""

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(HOURS), 4):
            await asyncio.sleep(0.01)
            yield HOURS[at : at + 4]

    headers = {"Content-Type": JSON, "Content-Length": f"{len(HOURS)}"}
    answer = await client.post("/predict/pass", content=pieces(), headers=headers)
    assert answer.json()["hours"] == 4
    assert usual == ["/predict/pass"]


class Soon:
    """What is awaited, and is no coroutine, as servers have it that are not written in Python."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def __await__(self) -> Generator[Any, None, Message]:
        yield from asyncio.sleep(0).__await__()
        return self._message


async def test_a_receive_that_is_no_coroutine_is_awaited(published: Path, usual: list[str]) -> None:
    app = create_app(Settings(artifacts=published))
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async with running(app):
        await app(_scope(), lambda: Soon({"type": "http.request", "body": HOURS}), send)
    assert sent[0]["status"] == 200
    assert usual == ["/predict/pass"]


async def test_one_that_is_cancelled_is_noted(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ray Serve does it when a client has gone."""
    monkeypatch.setattr("service.serving.batching.Batcher._run_on_loop", lambda *_: None)
    app = create_app(Settings(artifacts=published))

    async def send(_: Message) -> None:
        raise AssertionError("nobody is answered")

    async with running(app) as client:
        under_way = asyncio.create_task(app(_scope(), _received(HOURS), send))
        while not metric_sum(await _metrics(client), 'abacus_queue_rows{model="pass"'):
            await asyncio.sleep(0)
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        text = await _metrics(client)
    assert metric_sum(text, 'abacus_queue_rows{model="pass"') == 0
    assert metric_sum(text, 'abacus_requests_total{method="POST",route="/predict/pass",status="499"') == 1


async def _metrics(client: httpx.AsyncClient) -> str:
    return (await client.get("/metrics")).text


def _scope() -> Scope:
    headers = [(b"content-type", JSON.encode()), (b"content-length", b"%d" % len(HOURS))]
    path = {"path": "/predict/pass", "raw_path": b"/predict/pass", "query_string": b"", "root_path": ""}
    return {"type": "http", "method": "POST", "client": None, "headers": headers, **path}


def _received(body: bytes) -> Receive:
    came: list[Message] = [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        if not came:
            await asyncio.Event().wait()
        return came.pop()

    return receive
