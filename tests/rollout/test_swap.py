"""A version with other columns takes the place of one that is being asked: they are never mixed."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from fastapi import FastAPI
from torch import Tensor, nn

from service.app import create_app
from service.artifacts.interface import Column, Output, TableInput
from service.artifacts.pointers import CANARY, STABLE
from service.artifacts.store import ArtifactStore
from service.settings import Settings
from tests.conftest import running, until
from training.publishing.publish import Candidate, publish


class Sum(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return rows.sum(1, keepdim=True)


def publish_sum(store: ArtifactStore, *columns: str) -> int:
    rows = torch.arange(4.0 * len(columns)).reshape(4, -1)
    candidate = Candidate(
        name="sum",
        kind="table",
        net=Sum(),
        input=TableInput(columns=tuple(Column(name=name) for name in columns)),
        output=Output(kind="numbers", labels=("total",)),
        metrics=(),
        training=None,
        check_rows=rows,
        proof_rows=rows,
        files={},
    )
    return publish(candidate, store).version


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    store = ArtifactStore(tmp_path)
    publish_sum(store, "a", "b")
    return store


def app_of(store: ArtifactStore, **settings: Any) -> FastAPI:
    return create_app(Settings(artifacts=store.root, reload_s=0.05, **settings))


def is_live(client: httpx.AsyncClient, version: int) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return bool((await client.get("/models/sum")).json()["version"] == version)

    return holds


async def test_who_sends_slowly_is_answered_with_the_columns_that_it_came_with(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.serving.body.PATIENCE_S", 60)
    body = json.dumps({"a": 1, "b": 2}).encode()
    headers = {"Content-Type": "application/json"}
    async with running(app_of(store)) as client:

        async def slowly() -> AsyncIterator[bytes]:
            yield body[:5]
            version = publish_sum(store, "c", "d", "e")
            store.activate("sum", version)
            await until(is_live(client, version))
            yield body[5:]

        answer = await client.post("/predict/sum", content=slowly(), headers=headers)
        assert (answer.status_code, answer.json()["total"], answer.json()["version"]) == (200, 3, 1)
        after = await client.post("/predict/sum", json={"c": 1, "d": 2, "e": 3})
        assert (after.status_code, after.json()["total"], after.json()["version"]) == (200, 6, 2)
        assert (await client.post("/predict/sum", content=body, headers=headers)).status_code == 422


async def test_how_many_rows_may_wait_is_a_matter_of_the_live_version(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one with wider rows fewer fit into the same memory."""
    monkeypatch.setattr("service.serving.admission.QUEUE_BYTES", 1_200_000)
    publish_sum(store, "a", "b", "c", "d", "e")
    store.activate("sum", 1)
    app = app_of(store)
    async with running(app) as client:

        def limit() -> int:
            return int(app.state.backend.registry.get("sum").permits.limit)

        assert limit() == 100_000
        store.label("sum", 2, STABLE)

        async def loaded() -> bool:
            return bool((await client.get("/models/sum")).json()["loaded"] == [1, 2])

        await until(loaded)
        assert limit() == 100_000
        store.activate("sum", 2)
        await until(is_live(client, 2))
        assert limit() == 50_000


async def test_a_canary_that_is_asked_otherwise_gets_no_share(store: ArtifactStore) -> None:
    publish_sum(store, "a", "c")
    store.activate("sum", 1)
    async with running(app_of(store, canary_share=1)) as client:
        store.label("sum", 2, CANARY)

        async def told() -> bool:
            return "gets no share" in (await client.get("/models/sum")).json()["without"].get("2", "")

        await until(told)
        answer = await client.post("/predict/sum", json={"a": 1, "b": 2})
        assert (answer.status_code, answer.json()["version"]) == (200, 1)
        asked = await client.post("/predict/sum/versions/2", json={"a": 1, "c": 2})
        assert (asked.status_code, asked.json()["version"]) == (200, 2)
        publish_sum(store, "a", "b")
        store.activate("sum", 1)
        store.label("sum", 3, CANARY)

        async def shared() -> bool:
            return bool((await client.post("/predict/sum", json={"a": 1, "b": 2})).json()["version"] == 3)

        await until(shared)
        version = publish_sum(store, "a", "c")  # as 2 is, which is the canary once more
        store.activate("sum", 1)
        store.label("sum", 2, CANARY)
        await until(told)
        store.activate("sum", version)

        async def shared_by_2() -> bool:
            answer = (await client.post("/predict/sum", json={"a": 1, "c": 2})).json()
            return bool(answer.get("version") == 2)

        await until(shared_by_2)
        assert (await client.get("/models/sum")).json()["without"] == {}
