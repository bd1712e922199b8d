"""A store of objects is served as any other: what cannot be brought of it is refused."""

import asyncio
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from service.app import create_app
from service.artifacts.remote import objects
from service.artifacts.remote.mirror import Mirror
from service.artifacts.remote.objects import Objects
from service.rollout.mirroring import Mirroring
from service.settings import Settings
from tests.artifacts.test_remote import copy
from tests.conftest import BASELINE, COMMITTED, metric_sum, running, until
from tests.rollout.test_following import info, serves, why


class Store(MemoryFileSystem):  # type: ignore[misc]
    cachable = False


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """With a live version of `digit`."""
    filesystem = Store()
    monkeypatch.setattr(objects, "_filesystem", lambda scheme: filesystem)  # noqa: ARG005
    made = Objects(f"s3://{tmp_path.name}", filesystem)
    copy(made, BASELINE)
    return made


def write(store: Objects, path: str, content: str) -> None:
    store._given.pipe_file(f"{store.url.partition('://')[2]}/{path}", content.encode())


def settings(store: Objects, tmp_path: Path, **options: Any) -> Settings:
    common: dict[str, Any] = {
        "artifacts_cache": tmp_path,
        "artifacts_look_s": 0.05,
        "reload_s": 0.05,
        "device": "cpu",
    }
    return Settings(artifacts=store.url, **common | options)


async def test_what_cannot_be_brought_is_refused_and_counted_once(
    store: Objects, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(create_app(settings(store, tmp_path))) as client:

        async def refusals(name: str) -> float:
            text = (await client.get("/metrics")).text
            return metric_sum(text, f'abacus_reloads_total{{model="{name}",outcome="refused"}}')

        async def is_found() -> bool:
            return (await client.get("/models/pass")).status_code == 200

        assert (await info(client))["refused"] is None
        write(store, "digit/current", "7")
        await until(why(client, "digit/7 has no manifest.json: it is not published whole"))
        assert (await info(client))["version"] == 1
        write(store, "pass/current", "one")  # of which nothing was ever live
        await until(is_found)
        await until(why(client, "pass/current must hold a version number", "pass"))
        await asyncio.sleep(0.5)
        assert await refusals("digit") == await refusals("pass") == 1
        assert caplog.text.count("digit/7 has no manifest.json") == 1
        copy(store, BASELINE, 7)
        copy(store, COMMITTED / "pass" / "1", 1, "pass")
        await until(serves(client, 7))
        await until(serves(client, 1, "pass"))
        assert await refusals("digit") == await refusals("pass") == 1


async def test_workers_ask_the_store_no_more_often_than_one(
    store: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each looks once, however lately another did; then one at a time."""
    every_s, looks, follow = 0.3, list[tuple[Mirror, float, float]](), Mirror._follow

    def noted(mirror: Mirror, *wanted: Any) -> Any:
        began = time.time()
        found = follow(mirror, *wanted)
        looks.append((mirror, began, time.time()))
        return found

    monkeypatch.setattr(Mirror, "_follow", noted)
    of = settings(store, tmp_path, artifacts_look_s=every_s)
    async with Mirroring(of).kept(), Mirroring(of).kept():

        async def has_gone_on() -> bool:
            return len(looks) >= 6

        await until(has_gone_on)
    looked = {looks[0][0]}
    for (_, _, ended), (mirror, began, _) in pairwise(looks):
        assert mirror not in looked or began - ended > 0.9 * every_s
        looked.add(mirror)
    assert len(looked) == 2
