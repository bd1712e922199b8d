"""Every error of the HTTP contract, provoked, in its shape (RFC 9457)."""

import asyncio
import logging
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Message
from torch import Tensor

from service import errors
from service.app import create_app
from service.engine.predictor import Predictor
from service.settings import Settings
from tests.conftest import Digits, metric_sum, png, running

JSON = {"Content-Type": "application/json"}
PNG = {"Content-Type": "image/png"}


def assert_problem(response: httpx.Response, error: type[errors.ServiceError]) -> None:
    assert response.status_code == error.status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail", "request_id"}
    assert problem["type"] == f"urn:problem-type:abacus:{error.slug}"
    assert (problem["title"], problem["status"]) == (error.title, error.status)
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["detail"]
    if error.retry_after_s is not None:
        assert int(response.headers["retry-after"]) >= 1


async def test_404_unknown_model(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/models/cat"), errors.UnknownModel)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/predict/pass", 405)]
)
async def test_what_the_framework_refuses_has_the_same_shape(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["type"], problem["status"]) == ("about:blank", status)
    assert problem["request_id"] == response.headers["x-request-id"]
    if status == 405:
        assert response.headers["allow"] == "OPTIONS, POST"


async def test_411_no_length(client: httpx.AsyncClient) -> None:
    request = client.build_request("POST", "/predict/pass", headers=JSON)
    del request.headers["content-length"]
    assert_problem(await client.send(request), errors.LengthRequired)


@pytest.mark.parametrize("path", ["/predict/pass", "/predict/digit"])
async def test_413_stated_or_counted(published: Path, path: str) -> None:
    app = create_app(Settings(artifacts=published, max_body_bytes=1000))
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 100
            yield b"1" * 100

    headers = JSON if path.endswith("pass") else PNG
    async with running(app) as client:
        assert_problem(
            await client.post(path, content=b"1" * 1001, headers=headers), errors.PayloadTooLarge
        )
        assert_problem(await client.post(path, content=chunks(), headers=headers), errors.PayloadTooLarge)
        assert sent <= 1200  # it stopped reading at the limit
        assert (await client.post(path, content=b"1" * 1000, headers=headers)).status_code != 413


async def test_415_not_an_image_we_read(client: httpx.AsyncClient, digits: Digits) -> None:
    as_body = await client.post("/predict/digit", content=b"%PDF-1.7", headers=PNG)
    assert_problem(as_body, errors.UnsupportedMediaType)
    assert as_body.json()["errors"][0]["field"] == "body"
    as_form = await client.post("/predict/digit", files={"file": b"%PDF-1.7"})
    assert_problem(as_form, errors.UnsupportedMediaType)
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/pdf"}):
        response = await client.post("/predict/digit", content=png(digits.images_u8[0]), headers=headers)
        assert_problem(response, errors.UnsupportedMediaType)
    for untyped in ({}, {"Content-Type": "application/octet-stream"}):
        response = await client.post("/predict/digit", content=b"%PDF-1.7", headers=untyped)
        assert_problem(response, errors.UnsupportedMediaType)


async def test_422_pictures(client: httpx.AsyncClient, published: Path, digits: Digits) -> None:
    good = png(digits.images_u8[0])
    blank = png(digits.images_u8[0] * 0)
    for content, error in (
        (b"", errors.InvalidImage),
        (good[:100], errors.InvalidImage),
        (blank, errors.BlankImage),
    ):
        response = await client.post("/predict/digit", content=content, headers=PNG)
        assert_problem(response, error)
    async with running(create_app(Settings(artifacts=published, max_image_pixels=783))) as strict:
        response = await strict.post("/predict/digit", content=good, headers=PNG)
        assert_problem(response, errors.TooManyPixels)


async def test_422_payload(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict/pass", json={"hours": -1})
    assert_problem(response, errors.InvalidInput)
    assert response.json()["errors"] == [
        {"field": "hours", "message": "input should be greater than or equal to 0"}
    ]


async def test_500_says_nothing_internal_and_is_logged(
    published: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Predictor, rows: Tensor) -> Tensor:  # noqa: ARG001
        raise ZeroDivisionError("secret of the house")

    async with running(create_app(Settings(artifacts=published))) as client:
        monkeypatch.setattr(Predictor, "answer", fail)
        response = await client.post("/predict/pass", json={"hours": 1})
    assert_problem(response, errors.InferenceFailed)
    assert "secret" not in response.text
    assert response.json()["request_id"] in caplog.text
    assert "secret of the house" in caplog.text


async def test_500_of_a_bug_of_ours(published: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(Settings(artifacts=published))

    async def broken() -> None:
        raise ZeroDivisionError("secret of the house")

    app.add_api_route("/broken", broken)
    async with running(app) as client:
        response = await client.get("/broken")
    assert_problem(response, errors.InternalError)
    assert "secret" not in response.text
    assert response.json()["request_id"] in caplog.text
    assert "secret of the house" in caplog.text


async def test_499_where_whoever_called_the_application_gives_up(published: Path) -> None:
    """As Ray Serve does with the request of a client that hangs up: it cancels, and sends no message."""
    asked = asyncio.Event()

    async def receive() -> Message:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_: Message) -> None:
        raise AssertionError

    app = create_app(Settings(artifacts=published))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"20")]
    scope = {"type": "http", "method": "POST", "path": "/predict/pass", "headers": headers, "client": None}
    async with running(app) as client:
        call = asyncio.create_task(app(scope, receive, send))
        await asyncio.wait_for(asked.wait(), 120)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        text = (await client.get("/metrics")).text
    assert metric_sum(text, 'abacus_requests_total{method="POST",route="/predict/pass",status="499"}') == 1
    assert metric_sum(text, 'abacus_rejections_total{reason="abandoned",route="/predict/pass"}') == 1


async def test_503_while_a_model_is_missing_and_the_other_serves(published: Path, tmp_path: Path) -> None:
    shutil.copytree(published / "pass", tmp_path / "pass")
    shutil.copytree(published / "digit", tmp_path / "digit")
    model = tmp_path / "digit" / "1" / "model.pt"
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    async with running(create_app(Settings(artifacts=tmp_path))) as client:
        ready = await client.get("/health/ready")
        assert_problem(ready, errors.NotReady)
        assert [e["field"] for e in ready.json()["errors"]] == ["digit"]
        assert str(tmp_path) not in ready.text
        assert_problem(await client.post("/predict/digit", files={"file": b"x"}), errors.NotReady)
        assert (await client.post("/predict/pass", json={"hours": 1})).status_code == 200
        assert (await client.get("/health/live")).status_code == 200


@pytest.mark.parametrize("given", ["7f3c", "a.B_c~9-Z", "trace/1:2", "x" * 128])
async def test_a_well_formed_request_id_is_kept(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/health/live", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", 'quo"te', "a\tb"])
async def test_any_other_request_id_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/health/live", headers={"X-Request-ID": given})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


@pytest.mark.parametrize("access_log", [True, False])
async def test_one_access_line_a_request_where_wanted(
    published: Path, caplog: pytest.LogCaptureFixture, access_log: bool
) -> None:
    async with running(create_app(Settings(artifacts=published, access_log=access_log))) as client:
        with caplog.at_level(logging.INFO, "service.access"):
            await client.get("/nowhere%0Aforged line", headers={"X-Request-ID": "me"})
            await client.post("/predict/pass", json={"hours": 1}, headers={"X-Request-ID": "me"})
    lines = [vars(r) for r in caplog.records if r.name == "service.access"]
    if not access_log:
        assert lines == []
        return
    get, post = lines
    assert (get["method"], get["path"], get["status"]) == ("GET", "/nowhere%0Aforged%20line", 404)
    assert (post["status"], post["request_id"]) == (200, "me")
    assert (post["model"], post["version"]) == ("pass", 1)
    stages = [post[f"{stage}_ms"] for stage in ("decode", "queue", "infer")]
    assert min(stages) >= 0
    assert sum(stages) <= post["total_ms"]
