"""What the service says of itself and of its models under `/v2`; and that a request counts as any other."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from jsonschema_rs import Draft202012Validator

from service.app import create_app
from service.http.keys import add_key
from service.settings import Settings
from tests.conftest import COMMITTED, DIGIT_VERSION, Digits, metric_sum, running
from tests.endpoints.described import resolved
from tests.protocol.wire import asked, read, tensor


@pytest.fixture
def service(committed_server: httpx.Client) -> httpx.Client:
    return committed_server


def test_the_server(service: httpx.Client) -> None:
    server = service.get("/v2").json()
    assert set(server) == {"name", "version", "extensions"}
    assert {"binary_tensor_data", "classification", "statistics"} <= set(server["extensions"])
    assert service.get("/v2/health/live").json() == {"live": True}
    assert service.get("/v2/health/ready").json() == {"live": True, "ready": True}


def test_a_model(service: httpx.Client) -> None:
    metadata = service.get("/v2/models/digit").json()
    assert metadata == {
        "name": "digit",
        "versions": [DIGIT_VERSION],
        "platform": "pytorch_torchscript",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
            {"name": "out_of_distribution", "datatype": "BOOL", "shape": [-1, 1]},
        ],
    }
    assert service.get(f"/v2/models/digit/versions/{DIGIT_VERSION}").json() == metadata
    assert service.get("/v2/models/digit/ready").json() == {"name": "digit", "ready": True}
    assert service.get(f"/v2/models/digit/versions/{DIGIT_VERSION}/config").json()["max_batch_size"] == 64


def test_what_there_is_not(service: httpx.Client) -> None:
    for path in ("nothing", "nothing/ready", "nothing/config", "nothing/stats", "digit/versions/9/ready"):
        answer = service.get(f"/v2/models/{path}")
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_the_index_of_the_repository(service: httpx.Client) -> None:
    entries = service.post("/v2/repository/index").json()
    assert [(e["name"], e["version"], e["state"]) for e in entries] == [
        ("digit", DIGIT_VERSION, "READY"),
        ("object", "4", "READY"),
        ("pass", "1", "READY"),
    ]
    for body in (b"", b" ", b"{}", b'{"ready": true}', b'{"ready": false, "more": 1}'):
        assert service.post("/v2/repository/index", content=body).json() == entries
    for body, status in ((b"[]", 400), (b"{", 400), (b'{"ready": "yes"}', 400), (b" " * 5000, 413)):
        answer = service.post("/v2/repository/index", content=body)
        assert answer.status_code == status
        assert answer.json()["error"]


@pytest.mark.parametrize("what", ["load", "unload"])
def test_no_request_loads_a_model_unless_it_is_allowed(service: httpx.Client, what: str) -> None:
    answer = service.post(f"/v2/repository/models/digit/{what}", json={"parameters": {}})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "OPTIONS"
    assert "models activate" in answer.json()["error"]


def stats(service: httpx.Client, path: str = f"digit/versions/{DIGIT_VERSION}/stats") -> dict[str, Any]:
    (of_one,) = service.get(f"/v2/models/{path}").json()["model_stats"]
    found: dict[str, Any] = of_one
    return found


def test_statistics_are_those_of_the_metrics(service: httpx.Client, digits: Digits) -> None:
    time.sleep(0.2)  # an answer is counted just after it was sent
    before = stats(service)
    assert asked(service, "digit", tensor("image", digits.images_u8[:7])).status_code == 200
    assert asked(service, "digit", tensor("picture", digits.images_u8[:1])).status_code == 400
    time.sleep(0.2)
    after, text = stats(service), service.get("/metrics").text
    gained = {key: after[key] - before[key] for key in ("inference_count", "execution_count")}
    assert gained == {"inference_count": 7, "execution_count": 1}
    spent, spent_before = after["inference_stats"], before["inference_stats"]
    for stage in ("success", "queue", "compute_input", "compute_infer", "fail"):
        assert spent[stage]["count"] == spent_before[stage]["count"] + 1
    assert spent["success"]["ns"] > spent_before["success"]["ns"]
    predictions = metric_sum(text, f'abacus_predictions_total{{model="digit",version="{DIGIT_VERSION}"}}')
    assert spent["success"]["count"] == predictions
    assert (
        metric_sum(text, 'abacus_requests_total{method="POST",route="/v2/models/digit/infer",status="200"}')
        > 0
    )
    everything = service.get("/v2/models/stats").json()["model_stats"]
    versions = [(of_one["name"], of_one["version"]) for of_one in everything]
    assert versions == [("digit", DIGIT_VERSION), ("object", "4"), ("pass", "1")]
    assert stats(service, "digit/stats") == after


def test_requests_and_answers_are_what_openapi_says(service: httpx.Client, digits: Digits) -> None:
    document = service.get("/openapi.json").json()
    examples = {
        "digit": [tensor("image", digits.images_u8[:2])],
        "pass": [tensor("hours", np.array([4.0]))],
    }
    for model, inputs in examples.items():
        operation = document["paths"][f"/v2/models/{model}/infer"]["post"]
        request = operation["requestBody"]["content"]["application/json"]["schema"]
        Draft202012Validator(resolved(document, request)).validate({"inputs": inputs})
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        said = read(asked(service, model, *inputs)).document
        Draft202012Validator(resolved(document, answer)).validate(said)


async def test_keys_are_asked_for_but_not_for_health(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "laboratory")
    settings = Settings(artifacts=COMMITTED, models=("pass",), api_keys_file=tmp_path / "keys")
    async with running(create_app(settings)) as client:
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert (await client.get(path)).status_code == 200
        for path in ("/v2", "/v2/models/pass", "/v2/models/pass/ready"):
            refused = await client.get(path)
            assert (refused.status_code, refused.headers["content-type"]) == (401, "application/json")
            assert refused.json()["error"]
            assert (await client.get(path, headers={"Authorization": f"Bearer {key}"})).status_code == 200
        hours = json.dumps({"inputs": [tensor("hours", np.array([4.0]))]})
        assert (await client.post("/v2/models/pass/infer", content=hours)).status_code == 401
        fields = {"X-API-Key": key}
        assert (
            await client.post("/v2/models/pass/infer", content=hours, headers=fields)
        ).status_code == 200


async def test_a_question_whose_body_does_not_come_is_given_up(published: Path) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    settings = Settings(artifacts=published, request_timeout_s=0.2, allow_repository_control=True)
    async with running(create_app(settings)) as client:
        for path in ("index", "models/pass/load", "models/pass/unload"):
            answer = await client.post(f"/v2/repository/{path}", content=nothing())
            assert (answer.status_code, "within 0.2 s" in answer.json()["error"]) == (408, True)
        assert (await client.get("/v2/models/pass/ready")).status_code == 200
