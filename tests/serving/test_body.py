"""The body of a request, and the client behind it, over real connections."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from torch import Tensor

from service.app import create_app
from service.engine import predictor
from service.engine.predictor import Predictor
from service.serving.admission import Admission
from service.serving.body import Body
from service.serving.job import Outputs
from service.settings import Settings
from tests.conftest import metric_sum, until


class Held:
    """Every prediction waits until `free` is set, and notes its rows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = threading.Event()
        self.free.set()
        self.asked = threading.Event()
        self.rows: list[float] = []
        honest = Predictor.answer

        def answer(model: Predictor, rows: Tensor) -> Outputs:
            self.asked.set()
            assert self.free.wait(120)
            if model.manifest.name == "pass":
                self.rows += rows.squeeze(1).tolist()
            return honest(model, rows)

        monkeypatch.setattr(Predictor, "answer", answer)
        monkeypatch.setattr(predictor, "QUICK_S", 0)  # so that it is a thread that waits


@contextmanager
def serving(published: Path) -> Iterator[int]:
    """The port of a real server in a thread of this process."""
    config = uvicorn.Config(create_app(Settings(artifacts=published)), port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def test_a_client_that_hangs_up_while_it_waits_is_not_computed(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)

    async def scenario(port: int) -> None:
        held.free.clear()
        held.rows.clear()
        held.asked.clear()
        patient = asyncio.create_task(asyncio.to_thread(post, port, 1.0))
        await asyncio.to_thread(held.asked.wait, 60)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        content = json.dumps({"hours": 2.0}).encode()
        writer.write(
            b"POST /predict/pass HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(content), content)
        )
        await writer.drain()
        await until(lambda: queued(port, 2))
        writer.close()
        del reader
        await until(lambda: queued(port, 1))
        held.free.set()
        assert (await patient).status_code == 200
        assert post(port, 3.0).status_code == 200

    with serving(published) as port:
        asyncio.run(scenario(port))
    assert held.rows == [1.0, 3.0]


def post(port: int, hours: float) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{port}/predict/pass", json={"hours": hours}, timeout=60)


async def queued(port: int, rows: int) -> bool:
    """Whether so many wait for the model, or for its answer."""
    async with httpx.AsyncClient(timeout=60) as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    return metric_sum(text, 'abacus_queue_rows{model="pass"}') == rows


async def test_who_is_there_is_asked_without_waiting() -> None:
    gone = False

    async def receive() -> dict[str, str]:
        if not gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    body = Body({"headers": []}, receive, 100, Admission(100, "bytes"))
    assert not body.abandoned()
    gone = True
    assert body.abandoned()
