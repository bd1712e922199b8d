"""What is copied into the store in any order, hangs, or does not answer: each model goes its own way."""

import asyncio
import shutil
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.artifacts.look import Look
from service.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, ArtifactError, ArtifactUnreadable
from service.artifacts.pointers import CURRENT_FILE
from service.artifacts.store import ArtifactStore
from service.engine.loading import Artifact
from service.rollout import asking, attempt, following
from service.rollout.lone_thread import LoneThread
from service.serving.loading import Loader, Ready
from service.serving.registry import Registry
from service.serving.served import Served
from service.settings import Settings
from tests.conftest import BASELINE, COMMITTED, running, until

# The least that there is: a small digit model, and pass.
FOLDERS = (BASELINE, COMMITTED / "pass" / "1")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    for folder in FOLDERS:
        name, version = folder.parts[-2:]
        shutil.copytree(folder, tmp_path / "artifacts" / name / version)
        (tmp_path / "artifacts" / name / CURRENT_FILE).write_text(f"{version}\n")
    return ArtifactStore(tmp_path / "artifacts")


def app_of(store: ArtifactStore, **settings: Any) -> FastAPI:
    return create_app(Settings(artifacts=store.root, reload_s=0.05, **settings))


async def info(client: httpx.AsyncClient, name: str = "digit") -> dict[str, Any]:
    response = await client.get(f"/models/{name}")
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def why(client: httpx.AsyncClient, reason: str, name: str = "digit") -> Callable[[], Awaitable[bool]]:
    async def refused() -> bool:
        return reason in str((await info(client, name))["refused"])

    return refused


def serves(client: httpx.AsyncClient, version: int, name: str = "digit") -> Callable[[], Awaitable[bool]]:
    async def served() -> bool:
        model = await info(client, name)
        return (model["version"], model["refused"]) == (version, None)

    return served


async def test_current_comes_first_and_its_folder_file_by_file(
    store: ArtifactStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Also at the start: the order in which something is copied is nobody's promise."""
    source = store.folder("digit", 1).rename(store.root / "kept")
    target = store.folder("digit", 1)
    async with running(app_of(store)) as client:
        await until(why(client, "digit/1 cannot be read: No such file"))
        target.mkdir()
        await until(why(client, "digit/1/manifest.json cannot be read: No such file"))
        model = (source / MODEL_FILE).read_bytes()
        (target / MODEL_FILE).write_bytes(model[: len(model) // 2])
        shutil.copy(source / MANIFEST_FILE, target)
        await until(why(client, f"digit/1/model.pt cannot be read: it has {len(model) // 2} bytes"))
        with (target / MODEL_FILE).open("ab") as growing:
            growing.write(b"\0" * (len(model) - len(model) // 2))
        await until(why(client, "does not have the SHA-256"))
        (target / MODEL_FILE).write_bytes(model)
        await until(serves(client, 1))
    refusals = [record for record in caplog.records if "digit refused" in record.getMessage()]
    assert len(refusals) == len({record.getMessage() for record in refusals})  # each is said once


async def test_what_is_whole_and_bad_is_tried_again_only_when_it_changes(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read_version = Loader.read_version

    def counted(loader: Loader, name: str, version: int) -> Artifact:
        if name == "digit":
            reads.append(version)
        return read_version(loader, name, version)

    monkeypatch.setattr(Loader, "read_version", counted)
    manifest = store.folder("digit", 1) / MANIFEST_FILE
    sound = manifest.read_text()
    manifest.write_text("{}")
    async with running(app_of(store)) as client:
        await until(why(client, "is not a manifest"))
        await asyncio.sleep(1.5)
        assert reads == [1]
        staged = store.root.with_name("staged")
        staged.write_text(sound)
        staged.replace(manifest)  # at once: what is half written may have come to rest, too
        await until(serves(client, 1))
        assert reads == [1, 1]


async def test_what_could_not_be_read_is_tried_again(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nothing about the files shows that it now can: descriptors were used up, say."""
    monkeypatch.setattr(attempt, "RETRY_S", 0.05)
    read_version, failures = Loader.read_version, [True, True]

    def failing(loader: Loader, name: str, version: int) -> Artifact:
        if name == "digit" and failures and failures.pop():
            raise ArtifactUnreadable("Too many open files")
        return read_version(loader, name, version)

    monkeypatch.setattr(Loader, "read_version", failing)
    async with running(app_of(store)) as client:
        await until(serves(client, 1))
    assert failures == []


async def test_a_store_that_does_not_answer_holds_up_nothing(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in for a mount that hangs: its looks do not return. The control: they then do."""
    answers = threading.Event()
    answers.set()
    look = ArtifactStore.look

    def hanging(store: ArtifactStore, name: str, keep: int) -> Look:
        answers.wait()
        return look(store, name, keep)

    monkeypatch.setattr(ArtifactStore, "look", hanging)
    try:
        async with running(app_of(store)) as client:
            assert (await info(client))["store_silent_since"] is None
            monkeypatch.setattr(asking, "STORE_ANSWERS_S", 0.1)
            answers.clear()

            async def silent() -> bool:
                return (await info(client))["store_silent_since"] is not None

            await until(silent)
            assert (await info(client))["version"] == 1
            assert (await client.get("/health/live")).status_code == 200
            assert (await client.get("/health/ready")).status_code == 200
            assert (await client.post("/predict/pass", json={"hours": 4})).status_code == 200
            answers.set()

            async def answering() -> bool:
                return (await info(client))["store_silent_since"] is None

            await until(answering)
            answers.clear()
        # Leaving the block has stopped the service, while the store did not answer.
    finally:
        answers.set()


async def test_a_store_that_never_answered_leaves_the_service_alive_and_not_ready(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "STORE_ANSWERS_S", 0.1)
    answers = threading.Event()
    monkeypatch.setattr(ArtifactStore, "look", lambda *_: answers.wait())
    async with running(app_of(store)) as client:
        assert (await client.get("/health/live")).status_code == 200
        ready = await client.get("/health/ready")
        assert ready.status_code == 503
        assert "the store has not answered since 2" in ready.text
    answers.set()


def held_up(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """No version of `digit` gets ready before it is set."""
    goes_on, prepare = threading.Event(), Loader.prepare

    def waiting(loader: Loader, artifact: Artifact) -> Ready:
        if artifact.manifest.name == "digit":
            goes_on.wait()
        return prepare(loader, artifact)

    monkeypatch.setattr(Loader, "prepare", waiting)
    return goes_on


async def test_a_model_that_never_gets_ready_keeps_no_other_out(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is given up after its time; the service serves on, and stops."""
    monkeypatch.setattr(following, "TURN_S", 0.1)
    goes_on = held_up(monkeypatch)
    monkeypatch.setattr(attempt, "RETRY_S", 0.05)
    async with running(app_of(store, load_timeout_s=3)) as client:
        await until(serves(client, 1, "pass"))
        await until(why(client, "digit/1 was not ready within 3 s"))
        goes_on.set()  # it was slow, and no more than that: it is tried again
        await until(serves(client, 1))


async def test_a_model_is_followed_on_once_there_may_be_a_thread_for_it_again(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own was left to a version that does not get ready, while the system allows no other."""
    goes_on, refusals = held_up(monkeypatch), [True, True, True]
    started = LoneThread._started

    def refused(thread: LoneThread) -> Any:
        if refusals:
            refusals.pop()
            goes_on.set()
            raise RuntimeError("can't start new thread")
        return started(thread)

    monkeypatch.setattr(attempt, "RETRY_S", 0.05)
    async with running(app_of(store, load_timeout_s=3)) as client:
        await until(serves(client, 1, "pass"))
        monkeypatch.setattr(LoneThread, "_started", refused)
        await until(serves(client, 1))
    assert not refusals
    told = [record.getMessage() for record in caplog.records if "start new thread" in record.getMessage()]
    assert told == ["model digit refused: can't start new thread"]


async def test_what_was_not_tried_is_once_the_others_got_ready(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = held_up(monkeypatch)
    monkeypatch.setattr(following, "MAX_OVERDUE", 1)
    monkeypatch.setattr(attempt, "RETRY_S", 0.05)
    kept = (store.root / "pass").rename(store.root.with_name("kept"))
    async with running(app_of(store, load_timeout_s=3)) as client:
        await until(why(client, "digit/1 was not ready within 3 s"))
        kept.rename(store.root / "pass")

        async def not_tried() -> bool:
            return "pass/1 is not tried: 1 others" in (await client.get("/models/pass")).text

        await until(not_tried)
        goes_on.set()
        await until(serves(client, 1, "pass"))


async def test_models_that_hang_take_only_so_many_threads(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    tried: list[str] = []

    def hanging(_loader: Loader, artifact: Artifact) -> Ready:
        tried.append(artifact.manifest.name)
        goes_on.wait()
        raise AssertionError

    monkeypatch.setattr(Loader, "prepare", hanging)
    monkeypatch.setattr(following, "MAX_OVERDUE", 2)
    shutil.rmtree(store.root / "pass")
    async with running(app_of(store, load_timeout_s=0.2)) as client:
        for written in range(2, 5):
            await until(why(client, "digit/1"))
            count = len(tried)
            (store.root / "digit" / CURRENT_FILE).write_text("1" + "\n" * written)
            if written < 3:

                async def again(count: int = count) -> bool:
                    return len(tried) > count

                await until(again)
        await until(why(client, "digit/1 is not tried: 2 others never got ready"))

        async def both_tried() -> bool:
            return len(tried) >= 2  # a thread may have been given up before it got so far

        await until(both_tried)
        assert len(tried) == 2
        goes_on.set()


async def test_current_that_is_written_in_two_steps_is_not_refused_between_them(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The control: what stays so is."""
    look, empty, looks = ArtifactStore.look, [False, True, False, True, True], 0

    def seen(store: ArtifactStore, name: str, keep: int) -> Look:
        nonlocal looks
        found = look(store, name, keep)
        if name == "digit":
            looks += 1
            if looks <= len(empty) and empty[looks - 1]:
                return found._replace(
                    current=ArtifactError(f"empty at look {'4 and 5' if looks > 2 else 2}")
                )
        return found

    monkeypatch.setattr(ArtifactStore, "look", seen)
    async with running(app_of(store)) as client:
        await until(serves(client, 1))
        while looks < len(empty) + 1:
            await asyncio.sleep(0.01)
    refused = [record.getMessage() for record in caplog.records if "digit refused" in record.getMessage()]
    assert refused == ["model digit refused: empty at look 4 and 5"]


async def test_a_version_that_cannot_be_taken_up_does_not_end_the_following(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "RETRY_S", 0.05)
    adopt, failures = Registry.adopt, [True]

    def failing(registry: Registry, served: Served) -> Served | None:
        if failures and failures.pop():
            raise RuntimeError("can't start new thread")
        return adopt(registry, served)

    monkeypatch.setattr(Registry, "adopt", failing)
    async with running(app_of(store)) as client:
        await until(serves(client, 1))
        await until(serves(client, 1, "pass"))
