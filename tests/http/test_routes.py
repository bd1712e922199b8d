"""The hot endpoints are declared to FastAPI, and answer the same through it as ahead of it."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from jsonschema_rs import Draft202012Validator

from service.app import create_app
from service.settings import Settings
from tests.conftest import Digits, png, running

HOURS = {"name": "hours", "shape": [2, 1], "datatype": "FP32", "data": [1.5, 4]}


async def test_every_model_is_described(published: Path) -> None:
    async with running(create_app(Settings(artifacts=published))) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    posted = {path for path, methods in paths.items() if "post" in methods}
    repository = {path for path in posted if path.startswith("/v2/repository/")}
    assert posted - repository == {
        path
        for name in ("pass", "digit")
        for version in ("", "/versions/{version}")
        for path in (f"/predict/{name}{version}", f"/v2/models/{name}{version}/infer")
    }


async def test_they_answer_the_same_behind_fastapi_s_routing(published: Path, digits: Digits) -> None:
    """Mounted in another application, the path is FastAPI's to match."""
    app = create_app(Settings(artifacts=published))
    outer = FastAPI()
    outer.mount("/{tenant}", app)
    async with running(app) as direct:
        transport = httpx.ASGITransport(outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as mounted:
            for path, payload in (
                ("/predict/pass", {"json": {"hours": 4}}),
                ("/predict/pass", {"json": {"hours": "many"}}),
                ("/predict/digit", {"files": {"file": png(digits.images_u8[0])}}),
                ("/predict/digit", {"files": {"file": b"no picture"}}),
                ("/v2/models/pass/infer", {"json": {"inputs": [HOURS]}}),
                ("/v2/models/pass/versions/1/infer", {"json": {"inputs": [HOURS]}}),
                ("/v2/models/pass/infer", {"json": {"inputs": [{**HOURS, "data": ["many"]}]}}),
                ("/v2/models/nothing/infer", {"json": {}}),
            ):
                headers = {"X-Request-ID": "same"}
                one = await direct.post(path, headers=headers, **payload)
                two = await mounted.post(f"/abacus{path}", headers=headers, **payload)
                assert (one.status_code, one.json()) == (two.status_code, two.json())
                assert {*one.headers} - {"server-timing"} == {*two.headers} - {"server-timing"}


@pytest.mark.parametrize("prefix", ["", "/abacus"])
async def test_a_slash_at_the_end_is_another_path(published: Path, prefix: str) -> None:
    """Wherever the service is shown, taken away or left by its proxy: nothing leads to a wrong address."""
    settings = Settings(artifacts=published, root_path=prefix)
    async with running(create_app(settings)) as client:
        paths = {path for path in (await client.get("/openapi.json")).json()["paths"] if "{" not in path}
        paths |= {
            "/docs",
            "/openapi.json",
            "/web/page.js",
            "/predict/pass",
            "/models/pass",
            "/v2/models/pass",
        }
        for path in paths:
            for seen in {path, prefix + path}:
                for method in ("GET", "POST", "HEAD", "OPTIONS"):
                    answer = await client.request(method, f"{seen}/")
                    assert (answer.status_code, "location" in answer.headers) == (404, False), (
                        method,
                        seen,
                    )
                    told = "application/json" if path.startswith("/v2") else "application/problem+json"
                    assert answer.headers["content-type"] == told


@pytest.mark.parametrize("count", [1, 3])
async def test_answers_are_what_the_schemas_say(
    client: httpx.AsyncClient, digits: Digits, count: int
) -> None:
    """The hot endpoints write their JSON without the schemas that document it."""
    files = [("file", png(image)) for image in digits.images_u8[:count]]
    digit = await client.post("/predict/digit", files=files)
    hours = await client.post("/predict/pass", json={"hours": 4 if count == 1 else [1, 2.5, 4]})
    paths = (await client.get("/openapi.json")).json()["paths"]
    for response, path in ((digit, "/predict/digit"), (hours, "/predict/pass")):
        content = paths[path]["post"]["responses"]["200"]["content"]
        one_or_many = content["application/json"]["schema"]["oneOf"]
        Draft202012Validator(one_or_many[count > 1]).validate(response.json())
        assert response.headers["content-type"] == "application/json"
        assert response.headers["server-timing"].startswith("decode;dur=")
