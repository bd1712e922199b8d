"""The store says which models there are: what appears in it is served, what is taken away is gone."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.artifacts.listing import Listing, listed
from service.artifacts.pointers import CURRENT_FILE
from service.artifacts.store import ArtifactStore
from service.rollout import asking, finding, following
from service.settings import Settings
from tests.conftest import Digits, metric_sum, png, running, served, until, wait_for

WITHIN_S = 60  # the promise is 1 s, on a machine with nothing else to do


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    """A store with version 1 of `pass`."""
    shutil.copytree(published / "pass", tmp_path / "artifacts" / "pass")
    return tmp_path / "artifacts"


def app_of(root: Path, **settings: Any) -> FastAPI:
    return create_app(Settings(artifacts=root, reload_s=0.05, **settings))


async def ready(client: httpx.AsyncClient) -> tuple[int, dict[str, Any]]:
    response = await client.get("/health/ready")
    answer = response.json()
    reasons = {error["field"]: error["message"] for error in answer.get("errors", ())}
    return response.status_code, answer.get("models", reasons)


def is_ready(client: httpx.AsyncClient, *names: str) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        status, models = await ready(client)
        return status == 200 and sorted(models) == sorted(names)

    return holds


async def test_a_model_comes_and_goes_and_no_trace_is_left(
    root: Path, published: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`digit` is there, then taken away while a request is being sent to it, and put back."""
    monkeypatch.setattr("service.serving.body.PATIENCE_S", 60)
    shutil.copytree(published / "digit", root / "digit")
    picture = png(digits.images_u8[0])
    headers = {"Content-Type": "image/png"}

    async with running(app_of(root)) as client:

        async def slowly() -> AsyncIterator[bytes]:
            yield picture[:100]
            shutil.rmtree(root / "digit")
            await until(is_ready(client, "pass"))
            assert (
                await client.post("/predict/digit", content=picture, headers=headers)
            ).status_code == 404
            yield picture[100:]

        before = {thread.name for thread in threading.enumerate()}
        assert (await client.post("/predict/digit", content=picture, headers=headers)).status_code == 200
        assert "digit" in (await client.get("/metrics")).text
        answer = await client.post("/predict/digit", content=slowly(), headers=headers)
        assert answer.status_code == 200  # it came when there was one
        assert (await client.get("/models/digit")).status_code == 404
        assert [model["name"] for model in (await client.get("/models")).json()["models"]] == ["pass"]
        assert "store-digit" in before

        async def no_trace() -> bool:
            threads = {thread.name for thread in threading.enumerate()}
            return "store-digit" not in threads and "digit" not in (await client.get("/metrics")).text

        await until(no_trace)
        shutil.copytree(published / "digit", root / "digit")
        await until(is_ready(client, "digit", "pass"))
        answer = await client.post("/predict/digit", content=picture, headers=headers)
        assert answer.status_code == 200

        async def counted_anew() -> bool:
            text = (await client.get("/metrics")).text
            return metric_sum(text, 'abacus_predictions_total{model="digit",version="1"}') == 1

        await until(counted_anew)


async def test_a_folder_is_a_model_once_it_says_what_is_live(root: Path) -> None:
    async with running(app_of(root)) as client:
        for stray in ("digit", "digit/1", ".staging-1", "Digit", "lost+found"):
            (root / stray).mkdir()
        (root / "link").symlink_to("pass")
        (root / "file").write_text("")
        await asyncio.sleep(0.3)
        assert await is_ready(client, "pass")()
        (root / "digit" / CURRENT_FILE).write_text("1\n")

        async def refused() -> bool:
            found = (await client.get("/models/digit")).json()
            return "digit/1/manifest.json cannot be read" in (found.get("refused") or "")

        await until(refused)
        (root / "digit" / CURRENT_FILE).unlink()
        await until(is_ready(client, "pass"))


async def test_what_comes_later_and_is_not_served_leaves_the_service_ready(
    root: Path, published: Path
) -> None:
    """All services of one store would be taken out at once. One that starts with it is not ready."""
    async with running(app_of(root)) as client:
        (root / "digit" / "1").mkdir(parents=True)
        (root / "digit" / CURRENT_FILE).write_text("1\n")

        async def refused() -> bool:
            return "abacus_models_missing 1.0" in (await client.get("/metrics")).text

        await until(refused)
        assert await is_ready(client, "pass")()
        assert (await client.get("/v2/health/ready")).status_code == 200
        async with running(app_of(root)) as later:
            status, reasons = await ready(later)
            assert (status, list(reasons)) == (503, ["digit"])
        async with running(app_of(root, models=("digit", "pass"))) as requiring:
            assert (await ready(requiring))[0] == 503
        shutil.rmtree(root / "pass")

        async def nothing_is_served() -> bool:
            return list((await ready(client))[1]) == ["digit"]

        await until(nothing_is_served)
        assert (await ready(client))[0] == 503
        shutil.copytree(published / "digit", root / "digit", dirs_exist_ok=True)
        await until(is_ready(client, "digit"))


async def test_what_is_missing_at_the_start_is_in_the_log(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once: of a model that is refused it has the reason already."""
    (tmp_path / "empty").mkdir()
    (root / "digit").mkdir()
    (root / "digit" / CURRENT_FILE).write_text("1\n")
    for store, models, told in (
        (tmp_path / "empty", (), ["not ready: store: there is no model in it"]),
        (root, ("pass", "piano"), ["not ready: piano: there is no model 'piano' in the store"]),
        (root, (), []),
        (root, ("pass",), []),
    ):
        caplog.clear()
        async with running(app_of(store, models=models)):
            said = [record.getMessage() for record in caplog.records]
            assert [line for line in said if line.startswith("not ready")] == told


async def test_an_empty_store_is_not_ready_and_says_so(tmp_path: Path, published: Path) -> None:
    root = tmp_path / "artifacts"
    async with running(app_of(root)) as client:
        status, reasons = await ready(client)
        assert (status, reasons) == (503, {"store": "the store cannot be read: No such file or directory"})
        assert (await client.post("/predict/pass", json={"hours": 4})).status_code == 503
        assert (await client.get("/models/pass")).status_code == 503
        described = (await client.get("/openapi.json")).json()["paths"]["/models/{name}"]["get"]
        assert {"404", "503"} <= described["responses"].keys()
        root.mkdir()

        async def known_to_be_empty() -> bool:
            return await ready(client) == (503, {"store": "there is no model in it"})

        await until(known_to_be_empty)
        assert (await client.post("/predict/pass", json={"hours": 4})).status_code == 404
        shutil.copytree(published / "pass", root / "pass")
        await until(is_ready(client, "pass"))


async def test_the_models_that_are_asked_for_must_be_there_and_no_others_are_served(
    root: Path, published: Path
) -> None:
    async with running(app_of(root, models=("digit",))) as client:
        assert await ready(client) == (503, {"digit": "there is no model 'digit' in the store"})
        refused = (await client.get("/models/digit")).json()["refused"]
        assert refused == "there is no model 'digit' in the store"
        assert (await client.get("/models/pass")).status_code == 404
        shutil.copytree(published / "digit", root / "digit")
        await until(is_ready(client, "digit"))
        shutil.rmtree(root / "digit")

        async def missed() -> bool:
            return (await ready(client))[0] == 503

        await until(missed)


async def test_a_store_that_is_not_mounted_takes_nothing_away(root: Path) -> None:
    """Another folder, empty, lies where it was. A model taken out of the same folder is gone."""
    async with running(app_of(root)) as client:
        mounted = root.rename(root.with_name("mounted"))
        await asyncio.sleep(0.3)
        root.mkdir()
        await asyncio.sleep(0.3)
        assert (await client.post("/predict/pass", json={"hours": 4})).status_code == 200
        assert await is_ready(client, "pass")()
        root.rmdir()
        mounted.rename(root)
        shutil.rmtree(root / "pass")

        async def empty() -> bool:
            return await ready(client) == (503, {"store": "there is no model in it"})

        await until(empty)


async def test_a_store_that_hangs_holds_up_no_request(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, answers = threading.Event(), threading.Event()

    def hanging(store: ArtifactStore) -> Listing:
        if hangs.is_set():
            answers.wait(2 * WITHIN_S)
        return listed(store)

    monkeypatch.setattr(finding, "listed", hanging)
    async with running(app_of(root)) as client:
        monkeypatch.setattr(asking, "STORE_ANSWERS_S", 0.1)
        hangs.set()
        await asyncio.sleep(0.5)
        assert (await client.post("/predict/pass", json={"hours": 4})).status_code == 200
        shutil.rmtree(root / "pass")
        answers.set()
        hangs.clear()

        async def gone() -> bool:
            return (await client.get("/models/pass")).status_code == 404

        await until(gone)


async def test_no_more_models_than_fit_are_served(
    root: Path, published: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(finding, "MAX_MODELS", 1)
    async with running(app_of(root)) as client:
        shutil.copytree(published / "digit", root / "digit")

        def said() -> list[str]:
            return [r.getMessage() for r in caplog.records if "are not served" in r.getMessage()]

        async def told() -> bool:
            return bool(said())

        await until(told)
        await asyncio.sleep(0.3)  # six more looks
        assert await is_ready(client, "pass")()
        assert said() == ["of more than 1 models these are not served: digit"]
        shutil.rmtree(root / "pass")
        await until(is_ready(client, "digit"))


def test_it_is_so_over_http_with_two_workers(root: Path, published: Path) -> None:
    def answers() -> set[int]:
        url = f"{service.client.base_url}/models/digit"
        return {httpx.get(url, timeout=60).status_code for _ in range(8)}

    with served("--artifacts", str(root), "--workers", "2") as service:
        assert service.client.get("/health/ready").json()["models"] == {"pass": 1}
        shutil.copytree(published / "digit", root / "digit")
        wait_for(lambda: service.log.read_text().count("digit version 1 ready") == 2, WITHIN_S)
        assert answers() == {200}
        shutil.rmtree(root / "digit")
        wait_for(lambda: answers() == {404}, WITHIN_S)
        wait_for(lambda: 'model="digit"' not in service.client.get("/metrics").text, WITHIN_S)


async def test_what_cannot_be_followed_yet_is_tried_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The system lets a container have no more threads for a while."""
    tries = []

    class Follower(following.Follower):
        def __init__(self, *arguments: Any) -> None:
            tries.append(arguments)
            if len(tries) < 3:
                raise RuntimeError("can't start new thread")
            super().__init__(*arguments)

    monkeypatch.setattr("service.rollout.reload.Follower", Follower)
    async with running(app_of(root)) as client:
        await until(is_ready(client, "pass"))
    told = [r.getMessage() for r in caplog.records if "cannot be followed" in r.getMessage()]
    assert told == ["model pass cannot be followed: can't start new thread"]
