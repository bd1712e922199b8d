"""Answers that are larger than what asked for them: held to the bytes under way, and written in steps."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from jsonschema_rs import Draft202012Validator

from service.artifacts.interface import Column, Output, TableInput
from service.artifacts.store import ArtifactStore
from service.endpoints import answer
from service.endpoints.kinds import endpoint_of
from service.http.openapi import MOST_EXAMPLE_BYTES
from service.protocol.answers import chosen, telling
from service.protocol.documents import Wanted
from service.protocol.requests import Inference
from service.serving.job import Answer
from service.serving.steps import taken
from tests.connections.watched import Watched, watched
from tests.endpoints.tiny_models import publish_table

LABELS, PENDING_BYTES = 500, 1_000_000
INPUT = TableInput(columns=(Column(name="a"), Column(name="b")))
OUTPUT = Output(kind="classes", labels=tuple(f"c{number}" for number in range(LABELS)))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("wide")
    publish_table(root, "wide", INPUT, OUTPUT, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    return root


@pytest.fixture(scope="module")
def service(root: Path) -> Iterator[Watched]:
    with watched(root, max_pending_bytes=PENDING_BYTES) as service:
        yield service


def asked(client: httpx.Client, rows: int, accept: str) -> httpx.Response:
    body = json.dumps({"a": [1.5] * rows, "b": [0.5] * rows})
    headers = {"Content-Type": "application/json", "Accept": accept}
    return client.post("/predict/wide", content=body, headers=headers)


def inferred(client: httpx.Client, rows: int, **parameters: Any) -> httpx.Response:
    tensor = {"name": "x", "shape": [rows, 2], "datatype": "FP32", "data": [1.5, 0.5] * rows}
    outputs = [{"name": "probabilities", "parameters": parameters}]
    return client.post("/v2/models/wide/infer", json={"inputs": [tensor], "outputs": outputs})


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson", "text/csv"])
def test_what_could_never_be_sent_is_refused_for_good(service: Watched, accept: str) -> None:
    """Not with 429: who comes again is told the same."""
    refused = asked(service.client, 1000, accept)
    assert refused.status_code == 422, refused.text
    assert "ask about fewer rows" in refused.json()["detail"]
    for _ in range(3):  # nothing of it is still held
        assert asked(service.client, 20, accept).status_code == 200


@pytest.mark.parametrize(
    "parameters",
    [{}, {"binary_data": True}, {"classification": LABELS}],
    ids=["json", "binary", "classified"],
)
def test_of_tensors_likewise(service: Watched, parameters: dict[str, Any]) -> None:
    refused = inferred(service.client, 1000, **parameters)
    assert refused.status_code == 400, refused.text
    assert "ask about fewer rows" in refused.json()["error"]
    assert inferred(service.client, 20, **parameters).status_code == 200


def test_answers_in_steps_are_as_those_at_once(service: Watched) -> None:
    client = service.client
    alone = client.post("/predict/wide", json={"a": 1.5, "b": 0.5}).json()
    together = asked(client, 3, "application/json").json()["predictions"]
    assert len(together) == 3
    for one in together:
        assert one.items() <= alone.items()
    values = inferred(client, 3).json()["outputs"][0]["data"]
    assert values == 3 * list(alone["probabilities"].values())


@pytest.mark.usefixtures("patient")
def test_what_takes_long_to_write_is_left_to_asgi(service: Watched) -> None:
    service.by_asgi.clear()
    asked(service.client, 2, "application/json")
    assert service.by_asgi == []
    asked(service.client, 3, "application/json")
    assert service.by_asgi == ["/predict/wide"]


def test_what_is_told_of_classes_counts_while_it_is_made(root: Path) -> None:
    """There are as many texts as rows and classes, before any is written."""
    manifest = ArtifactStore(root).manifest("wide", 1)
    wanted = Wanted(name="probabilities", parameters={"classification": LABELS})
    outputs = chosen(Inference(None, {}, [], [wanted]), manifest)
    values = torch.full((4, LABELS), 1 / LABELS).numpy()
    counted: list[int] = []
    (told,) = taken(telling(outputs, Answer(values, manifest, 0.0, 0.0), counted.append))
    assert len(counted) == 4
    assert sum(counted) == sum(map(len, told.elements))


def test_openapi_describes_them_without_being_as_large(service: Watched) -> None:
    document = service.client.get("/openapi.json").json()
    said = document["paths"]["/predict/wide"]["post"]["responses"]["200"]["content"]
    one, many = said["application/json"]["schema"]["oneOf"]
    assert Draft202012Validator(many).is_valid(asked(service.client, 1, "application/json").json())
    alone = service.client.post("/predict/wide", json={"a": 1.5, "b": 0.5}).json()
    assert Draft202012Validator(one).is_valid(alone)
    alone["probabilities"].popitem()
    assert not Draft202012Validator(one).is_valid(alone)
    for described in said.values():
        for shown in described.get("examples", {}).values():
            assert len(json.dumps(shown["value"])) < 4 * MOST_EXAMPLE_BYTES
    assert "c7" not in one["properties"]["probabilities"].get("properties", {})


def test_a_step_is_of_values_not_of_rows(root: Path) -> None:
    """However many each row has."""
    manifest = ArtifactStore(root).manifest("wide", 1)
    endpoint = endpoint_of(manifest)
    rows = 64
    decoded = endpoint.decoded(json.dumps({"a": [1.5] * rows, "b": [0.5] * rows}).encode())  # type: ignore[attr-defined]
    outputs = torch.full((rows, LABELS), 1 / LABELS).numpy()
    written: list[int] = []
    steps = answer._writing(decoded, Answer(outputs, manifest, 0.0, 0.0), "json", written.append)
    assert sum(1 for _ in steps) == len(written) >= rows * LABELS / answer.STEP_VALUES
