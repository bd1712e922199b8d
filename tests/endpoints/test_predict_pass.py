"""POST /predict/pass."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from pydantic_core import to_json

from service.app import create_app
from service.settings import Settings
from tests.conftest import running

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
async def client(published: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running(create_app(Settings(artifacts=published))) as client:
        yield client


async def test_one(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict/pass", json={"hours": 4})
    assert response.status_code == 200
    body = response.json()
    assert list(body) == ["hours", "probability", "passed", "extrapolating", "model", "version"]
    assert (body["hours"], body["model"], body["version"]) == (4, "pass", 1)
    assert body["passed"] is (body["probability"] >= 0.5)


async def test_many_are_answered_in_order(client: httpx.AsyncClient) -> None:
    hours = [3.5, 0, 1.25, 9, 0]
    body = (await client.post("/predict/pass", json={"hours": hours})).json()
    assert set(body) == {"predictions", "model", "version"}
    assert [p["hours"] for p in body["predictions"]] == hours
    one_by_one = [(await client.post("/predict/pass", json={"hours": h})).json() for h in hours]
    for together, alone in zip(body["predictions"], one_by_one, strict=True):
        assert together["probability"] == pytest.approx(alone["probability"], abs=1e-6)


async def test_a_list_of_one_is_answered_by_a_list(client: httpx.AsyncClient) -> None:
    body = (await client.post("/predict/pass", json={"hours": [4]})).json()
    assert len(body["predictions"]) == 1


async def test_more_hours_more_probability(client: httpx.AsyncClient) -> None:
    body = (await client.post("/predict/pass", json={"hours": list(range(100))})).json()
    probabilities = [p["probability"] for p in body["predictions"]]
    assert probabilities == sorted(probabilities)


@pytest.mark.parametrize("length", [1, 3, 256, 257, 1_000])
async def test_numbers_are_written_to_the_bit(client: httpx.AsyncClient, length: int) -> None:
    """What the model computed, as the shortest decimals; hours as they came, not as float32."""
    hours = [i / 7 for i in range(length)]
    response = await client.post("/predict/pass", json={"hours": hours})
    body = response.json()
    assert response.content == to_json(body)
    assert [p["hours"] for p in body["predictions"]] == hours
    probabilities = np.array([p["probability"] for p in body["predictions"]])
    assert (probabilities == probabilities.astype(np.float32)).all()
    if length > 7:
        assert (np.array(hours) != np.array(hours, np.float32)).any()


async def test_ten_thousand_at_once_and_not_one_more(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict/pass", json={"hours": [1.5] * 10_000})
    assert len(response.json()["predictions"]) == 10_000
    response = await client.post("/predict/pass", json={"hours": [1.5] * 10_001})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "hours"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"hours": -1}', "hours"),
        ('{"hours": NaN}', "hours"),
        ('{"hours": Infinity}', "hours"),
        ('{"hours": 1e999}', "hours"),
        ('{"hours": 1e300}', "hours"),
        ('{"hours": "4"}', "hours"),
        ('{"hours": true}', "hours"),
        ('{"hours": null}', "hours"),
        ('{"hours": {}}', "hours"),
        ('{"hours": []}', "hours"),
        ('{"hours": [[1]]}', "hours.0"),
        ('{"hours": [1, 2, -3]}', "hours.2"),
        ('{"hours": [1, "2"]}', "hours.1"),
        ("{}", "hours"),
        ('{"hours": 4, "minutes": 5}', "minutes"),
        ("[4]", "0"),
        ("4", ""),
        ('{"hours": 4', ""),
        ("", ""),
        ("\xff", ""),
        ('{"hours": ' + "[" * 100_000 + "]" * 100_000 + "}", None),
    ],
)
async def test_a_payload_that_cannot_be_understood(
    client: httpx.AsyncClient, body: str, field: str | None
) -> None:
    response = await client.post("/predict/pass", content=body.encode("latin-1"), headers=JSON)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == "urn:problem-type:abacus:invalid-input"
    if field is not None:
        assert problem["errors"][0]["field"] == field
    assert len(response.content) < 2_000  # the error does not echo the payload


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_only_json_is_read(client: httpx.AsyncClient, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = await client.post("/predict/pass", content=b'{"hours": 4}', headers=headers)
    assert response.status_code == 415


async def test_a_charset_beside_json_is_fine(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    response = await client.post("/predict/pass", content=b'{"hours": 4}', headers=headers)
    assert response.status_code == 200
