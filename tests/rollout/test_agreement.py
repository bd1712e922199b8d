"""What requests unload and load, where for a while a worker can open nothing, or start no thread."""

import asyncio
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.rollout.lone_thread import LoneThread
from service.rollout.unloaded import Unloaded
from service.settings import Settings
from tests.conftest import no_descriptor_left, running, until

REPOSITORY = "/v2/repository/models/pass"
LOOK_S = 0.05


@pytest.fixture
def settings(published: Path) -> Settings:
    return Settings(artifacts=published, models=["pass"], allow_repository_control=True, reload_s=LOOK_S)


async def is_served(client: httpx.AsyncClient) -> bool:
    return (await client.post("/predict/pass", json={"hours": 4})).status_code == 200


async def is_not_served(client: httpx.AsyncClient) -> bool:
    return not await is_served(client)


@pytest.mark.parametrize("what", ["unload", "load"])
async def test_without_a_descriptor_left_a_request_is_told_to_come_again(
    settings: Settings, tmp_path: Path, what: str
) -> None:
    async with running(create_app(settings, str(tmp_path))) as client:
        with no_descriptor_left():
            answer = await client.post(f"{REPOSITORY}/{what}")
        assert (answer.status_code, "Too many open files" in answer.json()["error"]) == (503, True)
        assert "retry-after" in answer.headers
        assert (await client.post(f"{REPOSITORY}/{what}")).status_code == 200


async def test_after_a_while_without_descriptors_a_worker_does_as_the_others_say(
    settings: Settings, tmp_path: Path
) -> None:
    others = Unloaded(tmp_path)
    async with running(create_app(settings, str(tmp_path))) as client:
        others.add("pass")
        await until(lambda: is_not_served(client))
        with no_descriptor_left():
            await asyncio.sleep(4 * LOOK_S)
            assert not await is_served(client), "that others unloaded it still holds"
        others.discard("pass")
        await until(lambda: is_served(client))


async def test_what_cannot_be_followed_yet_is_served_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(create_app(settings)) as client:
        assert (await client.post(f"{REPOSITORY}/unload")).status_code == 200
        with monkeypatch.context() as limited:
            limited.setattr(LoneThread, "_started", no_thread)
            answer = await client.post(f"{REPOSITORY}/load")
            assert (answer.status_code, "start new thread" in answer.json()["error"]) == (503, True)
            assert (await client.post(f"{REPOSITORY}/load")).status_code == 503
        await until(lambda: is_served(client))


async def test_what_is_unloaded_while_it_waits_for_a_thread_stays_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(create_app(settings)) as client:
        assert (await client.post(f"{REPOSITORY}/unload")).status_code == 200
        with monkeypatch.context() as limited:
            limited.setattr(LoneThread, "_started", no_thread)
            assert (await client.post(f"{REPOSITORY}/load")).status_code == 503
            assert (await client.post(f"{REPOSITORY}/unload")).status_code == 200
        await asyncio.sleep(4 * LOOK_S)
        assert not await is_served(client)


def no_thread(_: object) -> None:
    raise RuntimeError("can't start new thread")
