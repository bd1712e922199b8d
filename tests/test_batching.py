"""The queue and its batches: nobody waits for nothing, nobody gets another's answer."""

import asyncio
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor

from service.batching import Batcher
from service.errors import InferenceFailed, NotReady
from service.manifest import read_manifest
from service.predictor import Predictor, load
from tests.conftest import CPU


class Recorder(Predictor):
    """The published pass model, noting each batch; it can be held up, and fails on hours of 666."""

    def __init__(self, folder: Path) -> None:
        real = load(folder, CPU)
        super().__init__(real._module, read_manifest(folder), CPU)
        self.batches: list[int] = []
        self.free = threading.Event()
        self.free.set()

    def predict(self, rows: Tensor) -> Tensor:
        assert self.free.wait(10)
        self.batches.append(len(rows))
        if (rows == 666).any():
            raise ValueError("the number of the beast")
        return super().predict(rows)


@pytest.fixture
def model(published: Path) -> Recorder:
    return Recorder(published / "pass" / "1")


def hours(*values: float) -> Tensor:
    return torch.tensor(values).unsqueeze(1)


async def test_a_lone_request_goes_at_once(model: Recorder) -> None:
    answer = await Batcher(lambda: model).predict(hours(4.0))
    assert answer.outputs.shape == (1, 1)
    assert answer.manifest.name == "pass"
    assert answer.queue_s >= 0
    assert answer.infer_s > 0
    assert model.batches == [1]


async def test_what_waits_while_the_device_is_busy_goes_together(model: Recorder) -> None:
    batcher = Batcher(lambda: model)
    model.free.clear()
    requests = [asyncio.ensure_future(batcher.predict(hours(i / 10))) for i in range(40)]
    await asyncio.sleep(0.05)
    model.free.set()
    answers = await asyncio.gather(*requests)
    assert model.batches == [40] or model.batches == [1, 39]
    alone = model.predict(hours(*[i / 10 for i in range(40)]))
    torch.testing.assert_close(torch.cat([a.outputs for a in answers]), alone)


async def test_a_batch_has_a_row_limit_but_a_large_request_is_never_cut(model: Recorder) -> None:
    batcher = Batcher(lambda: model, max_batch_rows=8)
    model.free.clear()
    sizes = [1, 5, 5, 20, 3]
    requests = [asyncio.ensure_future(batcher.predict(torch.rand(n, 1))) for n in sizes]
    await asyncio.sleep(0.05)
    model.free.set()
    answers = await asyncio.gather(*requests)
    assert [len(a.outputs) for a in answers] == sizes
    assert all(n <= 8 or n == 20 for n in model.batches)


async def test_only_the_guilty_request_fails(model: Recorder) -> None:
    batcher = Batcher(lambda: model)
    model.free.clear()
    values = [1.0, 666.0, 2.0, 3.0]
    requests = [asyncio.ensure_future(batcher.predict(hours(v))) for v in values]
    await asyncio.sleep(0.05)
    model.free.set()
    answers = await asyncio.gather(*requests, return_exceptions=True)
    assert [isinstance(a, InferenceFailed) for a in answers] == [False, True, False, False]
    guilty = answers[1]
    assert isinstance(guilty, InferenceFailed)
    assert "beast" not in guilty.detail  # the client is told nothing internal


async def test_an_abandoned_request_is_not_computed(model: Recorder) -> None:
    batcher = Batcher(lambda: model)
    model.free.clear()
    first = asyncio.ensure_future(batcher.predict(hours(1.0)))
    await asyncio.sleep(0.05)
    abandoned = asyncio.ensure_future(batcher.predict(torch.rand(5, 1)))
    last = asyncio.ensure_future(batcher.predict(hours(2.0)))
    await asyncio.sleep(0)
    abandoned.cancel()
    model.free.set()
    await asyncio.gather(first, last)
    assert model.batches == [1, 1]


async def test_answers_never_cross(model: Recorder) -> None:
    batcher = Batcher(lambda: model, max_batch_rows=16)

    async def client(number: int) -> None:
        rows = torch.full((1 + number % 3, 1), number / 64)
        own = Predictor.predict(model, rows)
        for _ in range(25):
            torch.testing.assert_close((await batcher.predict(rows)).outputs, own)

    await asyncio.gather(*(client(number) for number in range(64)))
    assert len(model.batches) < 64 * 25  # they did share batches


async def test_without_a_model_the_request_is_refused_before_it_waits() -> None:
    def missing() -> Predictor:
        raise NotReady("not yet")

    with pytest.raises(NotReady):
        await Batcher(missing).predict(hours(1.0))
