"""The queue and its batches: nobody waits for nothing, nobody gets another's answer."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from service.engine.loading import load
from service.engine.predictor import Predictor
from service.errors import InferenceFailed
from service.serving.batching import HOPES, Batcher
from service.serving.job import Answer, Outputs, Rows
from tests.conftest import CPU

WHERE = pytest.mark.parametrize("quick", [True, False], ids=["on the loop", "on a thread"])


class Recorder(Predictor):
    """The published pass model, noting each batch; it can be held up, and fails on hours of 666."""

    def __init__(self, folder: Path) -> None:
        real = load(folder, CPU)
        super().__init__(real._run, real.manifest, CPU)
        self.batches: list[int] = []
        self.rows: list[list[float]] = []
        self.free = threading.Event()
        self.free.set()

    def answer(self, rows: Tensor) -> Outputs:
        assert self.free.wait(60)
        self.batches.append(len(rows))
        self.rows.append(rows.squeeze(1).tolist())
        if (rows == 666).any():
            raise ValueError("the number of the beast")
        return super().answer(rows)


@pytest.fixture
def model(published: Path) -> Recorder:
    return Recorder(published / "pass" / "1")


@contextmanager
def batching(model: Recorder, max_batch_rows: int = 64, quick: bool = False) -> Iterator[Batcher]:
    model.quick = quick
    batcher = Batcher(model, max_batch_rows)
    yield batcher
    model.free.set()
    batcher.close()


def hours(*values: float) -> Rows:
    return np.array(values, dtype=np.float32).reshape(-1, 1)


def ask(batcher: Batcher, *values: float) -> "asyncio.Task[Answer]":
    return asyncio.ensure_future(batcher.predict(hours(*values)))


def answered(model: Recorder, values: list[float]) -> list[list[float]]:
    """What the model answers without a batcher."""
    outputs: list[list[float]] = Predictor.answer(model, torch.from_numpy(hours(*values))).tolist()
    return outputs


@WHERE
async def test_a_lone_request_goes_at_once(model: Recorder, quick: bool) -> None:
    with batching(model, quick=quick) as batcher:
        answer = await batcher.predict(hours(4.0))
    assert answer.outputs.tolist() == answered(model, [4.0])
    assert answer.manifest.name == "pass"
    assert answer.queue_s >= 0
    assert answer.infer_s > 0
    assert model.batches == [1]


@WHERE
async def test_requests_that_come_together_are_answered_together(model: Recorder, quick: bool) -> None:
    """On the loop one batch takes them all; on a thread the first goes alone, the rest behind it."""
    values = [i / 10 for i in range(40)]
    with batching(model, quick=quick) as batcher:
        if not quick:
            model.free.clear()
        requests = [ask(batcher, value) for value in values]
        await asyncio.sleep(0.05)
        model.free.set()
        answers = await asyncio.gather(*requests)
    assert sum(model.batches) == 40
    assert len(model.batches) == 1 if quick else len(model.batches) <= 2
    torch.testing.assert_close(
        torch.tensor([a.outputs[0].tolist() for a in answers]), torch.tensor(answered(model, values))
    )


@WHERE
async def test_a_request_of_many_rows_shares_and_cannot_starve_others(model: Recorder, quick: bool) -> None:
    many = torch.linspace(0, 10, 100).tolist()
    with batching(model, max_batch_rows=8, quick=quick) as batcher:
        if not quick:
            model.free.clear()
        large = ask(batcher, *many)
        small = [ask(batcher, value) for value in (91.0, 92.0, 93.0)]
        await asyncio.sleep(0.05)
        model.free.set()
        answer, *_ = await asyncio.gather(large, *small)
    # Small ones go first, once they are there; the large one has the rest of their batch.
    assert [91.0, 92.0, 93.0] in (model.rows[0][:3], model.rows[1][:3])
    assert model.batches == [8] * 12 + [7]
    torch.testing.assert_close(torch.from_numpy(answer.outputs), torch.tensor(answered(model, many)))


@WHERE
async def test_only_the_guilty_request_fails(model: Recorder, quick: bool) -> None:
    with batching(model, quick=quick) as batcher:
        if not quick:
            model.free.clear()
        requests = [ask(batcher, value) for value in (1.0, 666.0, 2.0, 3.0)]
        await asyncio.sleep(0.05)
        model.free.set()
        answers = await asyncio.gather(*requests, return_exceptions=True)
    assert [isinstance(a, InferenceFailed) for a in answers] == [False, True, False, False]
    guilty = answers[1]
    assert isinstance(guilty, InferenceFailed)
    assert "beast" not in guilty.detail  # the client is told nothing internal


async def test_a_request_that_fails_in_its_second_batch_is_dropped(model: Recorder) -> None:
    values = [1.0] * 20
    values[9] = 666.0
    with batching(model, max_batch_rows=8) as batcher:
        with pytest.raises(InferenceFailed):
            await batcher.predict(hours(*values))
        assert (await batcher.predict(hours(4.0))).outputs.tolist() == answered(model, [4.0])
    assert model.batches in ([8, 8, 1], [8, 8, 4, 1])  # the third may have begun


async def test_a_long_answer_is_no_work_for_the_garbage_collector(model: Recorder) -> None:
    """As many lists as there are rows would be walked by every full collection while they wait."""

    def tracked() -> int:
        gc.collect()
        return len(gc.get_objects())

    with batching(model, max_batch_rows=400) as batcher:
        rows = hours(*[i / 1000 for i in range(10_000)])
        before = tracked()
        answer = await batcher.predict(rows)
        assert tracked() - before < 1_000  # what else is in the process comes and goes
        before = tracked()
        control = answer.outputs.tolist()
        assert tracked() - before > len(control) - 1_000 == 9_000
    assert answer.outputs.shape == (10_000, 1)


async def test_a_cancelled_request_is_not_computed(model: Recorder) -> None:
    with batching(model) as batcher:
        model.free.clear()
        first = ask(batcher, 1.0)
        while not batcher.busy_since:
            await asyncio.sleep(0.01)
        gone = ask(batcher, 1.0, 2.0, 3.0, 4.0, 5.0)
        last = ask(batcher, 2.0)
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.sleep(0)  # a task hears of it when the loop turns
        model.free.set()
        await asyncio.gather(first, last)
    assert model.batches == [1, 1]


@WHERE
async def test_100_000_answers_identify_their_client(model: Recorder, quick: bool) -> None:
    """64 clients, each with hours that nobody else sends, one to three rows at a time."""
    clients, requests = 64, 100_000
    answers = crossed = 0

    async def client(number: int) -> None:
        nonlocal answers, crossed
        own = [[float(f"{p[0]:.5f}")] for p in answered(model, [number / 16] * 3)]
        rows = [hours(*[number / 16] * n) for n in (1, 2, 3)]
        for i in range(-(-requests // clients)):
            outputs = (await batcher.predict(rows[i % 3])).outputs.tolist()
            answers += 1
            if [[float(f"{p[0]:.5f}")] for p in outputs] != own[: 1 + i % 3]:
                crossed += 1

    with batching(model, quick=quick) as batcher:
        await asyncio.gather(*(client(number) for number in range(clients)))
    assert answers >= requests
    assert crossed == 0
    assert len(model.batches) < requests / 4  # they did share batches


async def test_the_identifying_test_can_fail(model: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault, planted: the answers of a batch are handed out in reverse."""
    honest = Batcher._infer
    monkeypatch.setattr(Batcher, "_infer", lambda self, batch: honest(self, batch)[::-1])
    with batching(model, quick=True) as batcher:
        answers = await asyncio.gather(*(ask(batcher, value) for value in (1.0, 2.0)))
    assert answers[0].outputs.tolist() != answered(model, [1.0])


async def ask_after(batcher: Batcher, turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    await batcher.predict(hours(4.0), turns=8)


async def test_requests_some_turns_apart_are_answered_together(model: Recorder) -> None:
    with batching(model, quick=True) as batcher:
        await asyncio.gather(ask(batcher, 1.0), ask(batcher, 2.0))
        await asyncio.gather(*(ask_after(batcher, 5 * number) for number in range(4)))
    assert model.batches == [2, 4]


async def test_a_lone_request_waits_for_no_others(model: Recorder) -> None:
    with batching(model, quick=True) as batcher:
        await asyncio.gather(ask_after(batcher, 0), ask_after(batcher, 5))
        await asyncio.gather(ask(batcher, 1.0), ask(batcher, 2.0))
        for _ in range(HOPES):
            await ask_after(batcher, 0)
        await asyncio.gather(ask_after(batcher, 0), ask_after(batcher, 5))
    assert model.batches == [1, 1, 2, *HOPES * [1], 1, 1]


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_where_a_batch_is_too_small_to_share_requests_take_turns(model: Recorder, most: int) -> None:
    with batching(model, max_batch_rows=most) as batcher:
        model.free.clear()
        requests = [ask(batcher, 90.0)]
        await asyncio.sleep(0.05)
        requests += [ask(batcher, 91.0, 92.0, 93.0, 94.0), *(ask(batcher, value) for value in range(20))]
        await asyncio.sleep(0.05)
        model.free.set()
        await asyncio.gather(*requests)
    assert model.rows[1] == [91.0, 92.0, 93.0][:most], "it came before those of one row"


@WHERE
async def test_rows_that_cannot_be_put_together_end_their_batch_alone(
    model: Recorder, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(_: object) -> None:
        raise MemoryError

    with batching(model, quick=quick) as batcher:
        with monkeypatch.context() as patch:
            patch.setattr("service.serving.batching.np.concatenate", no_memory)
            with pytest.raises(InferenceFailed):
                await batcher.predict(hours(1.0))
        assert (await batcher.predict(hours(4.0))).outputs.tolist() == answered(model, [4.0])
