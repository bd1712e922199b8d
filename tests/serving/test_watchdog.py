"""A batch that never ends: who is told, when the process ends, and what is no hang."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from service import lifespan
from service.app import create_app
from service.engine.loading import load
from service.engine.predictor import Predictor
from service.serving.batching import Batcher
from service.serving.job import Outputs
from service.serving.watchdog import EXIT_CODE, LOOK_S, Watchdog
from service.settings import Settings
from tests.conftest import COMMITTED, CPU, running


class Hanging(Predictor):
    """The committed model of hours, which answers when it is let."""

    def __init__(self) -> None:
        real = load(COMMITTED / "pass" / "1", CPU)
        super().__init__(real._run, real.manifest, CPU)
        self.goes_on = threading.Event()

    def answer(self, rows: Tensor) -> Outputs:
        assert self.goes_on.wait(60)
        return super().answer(rows)


class Watched:
    """A watchdog over one batch that hangs, by looks that the test makes."""

    def __init__(self, batcher: Batcher) -> None:
        self.told: list[dict[str, str]] = []
        self.ended: list[int] = []
        self._watchdog = Watchdog({batcher}, self.told.append, 3 * LOOK_S, self.ended.append)

    def looks(self, number: int) -> None:
        for _ in range(number):
            self._watchdog.look()


@contextmanager
def hanging() -> Iterator[tuple[Hanging, Batcher, Callable[[], "asyncio.Task[object]"]]]:
    model = Hanging()
    batcher = Batcher(model, 64)
    rows = np.ones((1, 1), np.float32)
    try:
        yield model, batcher, lambda: asyncio.ensure_future(batcher.predict(rows))
    finally:
        model.goes_on.set()
        batcher.close()


async def begun(batcher: Batcher) -> None:
    while not batcher.busy_since:
        await asyncio.sleep(0.01)


async def test_a_batch_that_hangs_is_told_of_and_then_ends_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with hanging() as (model, batcher, ask):
        watched = Watched(batcher)
        watched.looks(5)
        assert not any(watched.told)  # there is no batch
        answer = ask()
        await begun(batcher)
        watched.looks(3)
        assert not any(watched.told)
        watched.looks(1)
        assert watched.told[-1] == {"pass": "version 1 has not ended a batch in 3 s"}
        assert watched.ended == []
        watched.looks(3)
        assert watched.ended == [EXIT_CODE]
        model.goes_on.set()
        await answer
    assert "not live: model pass version 1" in caplog.text
    assert "models rollback pass" in caplog.text


async def test_a_batch_that_ends_after_all_is_forgiven(caplog: pytest.LogCaptureFixture) -> None:
    with hanging() as (model, batcher, ask):
        watched = Watched(batcher)
        answer = ask()
        await begun(batcher)
        watched.looks(4)
        assert watched.told[-1]
        model.goes_on.set()
        await answer
        watched.looks(1)
        assert watched.told[-1] == {}
        watched.looks(20)
        assert watched.ended == []
    assert "live again: model pass" in caplog.text


async def test_many_batches_one_after_the_other_are_no_hang() -> None:
    with hanging() as (model, batcher, ask):
        watched = Watched(batcher)
        model.goes_on.set()
        for _ in range(20):
            await ask()
            batcher.busy_since = float(len(watched.told) + 1)  # each look meets another one
            watched.looks(1)
        assert not any(watched.told)


async def test_health_says_which_version_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    goes_on = threading.Event()
    answer = Predictor.answer

    def hang(model: Predictor, rows: Tensor) -> Outputs:
        if model.manifest.name == "pass" and (rows == 666).any():
            assert goes_on.wait(60)
        return answer(model, rows)

    monkeypatch.setattr(Predictor, "answer", hang)
    monkeypatch.setattr("service.engine.predictor.QUICK_S", -1.0)  # no model is computed on the loop
    monkeypatch.setattr(lifespan, "Watchdog", partial(Watchdog, end=ended.append))
    settings = Settings(artifacts=Path(COMMITTED), batch_timeout_s=1, request_timeout_s=1)
    async with running(create_app(settings)) as client:
        assert (await client.get("/health/live")).json() == {"live": True}
        assert (await client.post("/predict/pass", json={"hours": 666})).status_code == 504
        while (live := await client.get("/health/live")).status_code == 200:
            await asyncio.sleep(0.05)
        assert live.status_code == 503
        assert live.json()["type"] == "urn:problem-type:abacus:not-live"
        assert live.headers["Retry-After"] == "5"
        reason = {"field": "pass", "message": "version 1 has not ended a batch in 1 s"}
        assert live.json()["errors"] == [reason]
        assert reason in (await client.get("/health/ready")).json()["errors"]
        while not ended:
            await asyncio.sleep(0.05)
        goes_on.set()
        while (await client.get("/health/live")).status_code != 200:
            await asyncio.sleep(0.05)
    assert set(ended) == {EXIT_CODE}
