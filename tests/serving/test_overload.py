"""More than fits, later than promised, slower than allowed: refused at once, in the contract's shape."""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from torch import Tensor

from service.app import create_app
from service.engine.predictor import Predictor
from service.errors import Overloaded
from service.serving.admission import LONGEST_WAIT_S, Admission
from service.serving.body import LEAST_BYTES
from service.serving.job import Outputs
from service.settings import Settings
from tests.conftest import Digits, Served, metric_sum, png, running, served, wait_for
from tests.serving.test_body import serving


class Held:
    """Every prediction waits until `free`; `rows` counts what was computed, from when it has `begun`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Event()
        self.free = threading.Event()
        self.rows = 0
        answer = Predictor.answer

        def held(predictor: Predictor, rows: Tensor) -> Outputs:
            self.begun.set()
            self.free.wait(120)
            self.rows += len(rows)
            return answer(predictor, rows)

        self._monkeypatch, self._held = monkeypatch, held
        monkeypatch.setattr(
            "service.engine.predictor.QUICK_S", 0.0
        )  # on a thread, so that only that thread waits

    def start(self) -> None:
        self._monkeypatch.setattr(Predictor, "answer", self._held)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    device = Held(monkeypatch)
    yield device
    device.free.set()


@asynccontextmanager
async def blocked(published: Path, held: Held, **settings: int) -> AsyncIterator[httpx.AsyncClient]:
    """The app with its device blocked, and a client that waits long enough."""
    async with running(create_app(Settings(artifacts=published, **settings))) as client:  # type: ignore[arg-type]
        held.start()
        client.timeout = httpx.Timeout(60)
        try:
            yield client
        finally:
            held.free.set()


async def status_of_metric(client: httpx.AsyncClient, name: str) -> float:
    return metric_sum((await client.get("/metrics")).text, name)


async def test_more_rows_than_there_are_places_take_them_all(published: Path, digits: Digits) -> None:
    picture = {"file": png(digits.images_u8[0])}
    async with running(create_app(Settings(artifacts=published, max_queued_batches=1))) as client:
        for _ in range(2):
            explained = await client.post("/predict/digit?explain=true", files=picture)
            assert explained.status_code == 200


async def test_what_does_not_fit_is_429_and_succeeds_later(
    published: Path, held: Held, digits: Digits
) -> None:
    places, more = 64, 20
    picture = {"file": png(digits.images_u8[0])}
    async with blocked(published, held, max_queued_batches=1) as client:
        asked = [
            asyncio.create_task(client.post("/predict/digit", files=picture)) for _ in range(places + more)
        ]
        async with asyncio.timeout(60):
            while sum(task.done() for task in asked) < more:
                await asyncio.sleep(0.01)
        refused = [task.result() for task in asked if task.done()]
        assert Counter(response.status_code for response in refused) == {429: more}
        assert all(int(response.headers["Retry-After"]) >= 1 for response in refused)
        assert refused[0].json()["type"] == "urn:problem-type:abacus:overloaded"
        assert await status_of_metric(client, 'abacus_queue_rows{model="digit"}') == places
        assert await status_of_metric(client, 'abacus_queue_batches{model="digit"}') == 1
        held.free.set()
        answers = await asyncio.gather(*asked)
        assert Counter(response.status_code for response in answers) == {200: places, 429: more}
        assert (await client.post("/predict/digit", files=picture)).status_code == 200
        assert await status_of_metric(client, 'abacus_queue_rows{model="digit"}') == 0
        assert await status_of_metric(client, 'abacus_queue_batches{model="digit"}') == 0
        assert await status_of_metric(client, 'abacus_rejections_total{reason="overloaded"') == more


async def test_a_request_of_the_most_rows_is_one_full_batch(published: Path, held: Held) -> None:
    """What pods are scaled by: one client that sends tables is no reason for more."""
    async with blocked(published, held) as client:
        asked = asyncio.create_task(client.post("/predict/pass", json={"hours": [1.0] * 10_000}))
        async with asyncio.timeout(60):
            while not held.begun.is_set():
                await asyncio.sleep(0.01)
        assert await status_of_metric(client, 'abacus_queue_rows{model="pass"}') == 10_000
        assert await status_of_metric(client, 'abacus_queue_batches{model="pass"}') == 1
        held.free.set()
        assert (await asked).status_code == 200


async def test_a_deadline_is_kept_and_what_is_late_is_not_computed(published: Path, held: Held) -> None:
    async with blocked(published, held) as client:
        patient = asyncio.create_task(client.post("/predict/pass", json={"hours": 1}))
        while not held.begun.is_set():
            await asyncio.sleep(0.01)
        hurried = [
            client.post("/predict/pass", json={"hours": 2}, headers={"X-Request-Timeout-Ms": "100"})
            for _ in range(50)
        ]
        answers = await asyncio.gather(*hurried)
        assert Counter(response.status_code for response in answers) == {504: 50}
        assert not patient.done()
        held.free.set()
        assert (await patient).status_code == 200
        assert (await client.post("/predict/pass", json={"hours": 3})).status_code == 200
    assert held.rows == 2


async def test_without_a_deadline_the_late_are_computed(published: Path, held: Held) -> None:
    """The control of the test before: the count of rows can tell."""
    async with blocked(published, held) as client:
        asked = [asyncio.create_task(client.post("/predict/pass", json={"hours": 2})) for _ in range(50)]
        await asyncio.sleep(0.3)
        held.free.set()
        answers = await asyncio.gather(*asked)
        assert Counter(response.status_code for response in answers) == {200: 50}
    assert held.rows == 50


async def test_places_are_given_back_whatever_becomes_of_a_request(
    published: Path, held: Held, digits: Digits
) -> None:
    held.free.set()
    picture = png(digits.images_u8[0])
    async with blocked(published, held, max_queued_batches=1) as client:
        for _ in range(70):
            assert (await client.post("/predict/digit", files={"file": b"no picture"})).status_code == 415
            assert (await client.post("/predict/pass", content=b"{" + 20_000 * b",")).status_code == 415
            cut = {"X-Request-Timeout-Ms": "1"}
            await client.post("/predict/digit", files={"file": picture}, headers=cut)
        assert await status_of_metric(client, "abacus_queue_rows") == 0
        many = [("file", picture)] * 64
        assert (await client.post("/predict/digit", files=many)).status_code == 200


@pytest.mark.parametrize("text", ["0", "000", "-5", "1.5", "1_000", "soon", "", "²"])
async def test_a_deadline_that_is_none_is_422(client: httpx.AsyncClient, text: str) -> None:
    headers = {b"X-Request-Timeout-Ms": text.encode()}
    response = await client.post("/predict/pass", json={"hours": 1}, headers=headers)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "X-Request-Timeout-Ms"


@pytest.mark.parametrize(
    "text", ["60000", "0060000", "9999999999", 20 * "9", 5_000 * "9", 5_000 * "0" + "9999"]
)
async def test_a_deadline_may_be_as_long_as_it_likes(client: httpx.AsyncClient, text: str) -> None:
    """What is longer than the service's own limit asks for that."""
    headers = {"X-Request-Timeout-Ms": text}
    assert (await client.post("/predict/pass", json={"hours": 1}, headers=headers)).status_code == 200


@pytest.fixture(scope="module")
def little(published: Path) -> Iterator[Served]:
    with served("--artifacts", str(published), "--max-pending-bytes", "100000") as service:
        yield service


POST = b"POST /predict/digit HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
HEAD = POST + b"Content-Length: %d\r\n\r\n"


def connect(service: Served) -> socket.socket:
    url = service.client.base_url
    return socket.create_connection((url.host, url.port or 80), timeout=60)


def test_a_body_that_does_not_come_is_408(little: Served) -> None:
    with connect(little) as slow:
        slow.sendall(POST + b"X-Request-Timeout-Ms: 1000\r\nContent-Length: 999\r\n\r\n\x89PNG")
        assert b" 408 " in slow.recv(65536).splitlines()[0]
    assert little.client.post("/predict/pass", json={"hours": 4}).status_code == 200


def test_bytes_under_way_are_bounded(little: Served) -> None:
    """Most of what may be has come of one upload: of others only small ones fit, until it ends."""

    def status(size: int) -> int:
        headers = {"Content-Type": "image/png"}
        response = little.client.post("/predict/digit", content=size * b"x", headers=headers)
        assert response.status_code != 429 or "Retry-After" in response.headers
        return response.status_code

    def only_small_ones_fit() -> bool:
        with connect(little) as large:
            large.sendall(HEAD % 99_000)
            time.sleep(0.2)
            wait_for(lambda: status(60_000) == 415)  # what is announced takes no room
            large.sendall(80_000 * b"x")
            time.sleep(0.2)
            return (status(15_000), status(2_000)) == (429, 415)

    wait_for(only_small_ones_fit)  # a small one may come first on a busy machine
    wait_for(lambda: status(15_000) == 415)
    assert status(100_001) == 413  # it would never fit


def stalls(port: int, drop: bytes, until_s: float) -> float:
    """Seconds until it is refused, of which a drop comes every tenth of one until then."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as slow:
        began = time.monotonic()
        slow.sendall(HEAD % 10_000_000)
        slow.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - began < 60:
            if time.monotonic() - began < until_s:
                slow.sendall(drop)
            with suppress(TimeoutError):
                answer = slow.recv(65536)
        slow.settimeout(60)
        while b"}" not in answer and (more := slow.recv(65536)):  # head and body may come apart
            answer += more
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"too slowly" in answer
    return time.monotonic() - began


def test_a_body_that_stalls_is_408(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.serving.body.PATIENCE_S", 1.5)
    with serving(published) as port:
        assert stalls(port, b"x", 0.1) > 0.1
        # As fast as it has to be, at the least, unless the machine stands still.
        wait_for(lambda: stalls(port, LEAST_BYTES * b"x", 2) > 2)


def test_small_ones_find_room_beside_large_ones() -> None:
    places = Admission(64, "rows")
    for _ in range(3):
        places.admit(16, 16)
    with pytest.raises(Overloaded):
        places.admit(16, 16)  # it would leave nothing
    places.admit(8, 8)
    with pytest.raises(Overloaded):
        places.admit(5, 5)
    places.admit(4, 4)
    for _ in range(4):
        places.admit(1)
    with pytest.raises(Overloaded):
        places.admit(1)
    places.release(64)
    places.admit(64, 64)  # who finds nobody takes all


async def test_long_lists_leave_places_to_short_ones(published: Path, held: Held) -> None:
    """The control: so many rows, one each, would take all places there are."""
    hours = {"hours": [1.0] * 2_000}
    async with blocked(published, held, max_queued_batches=1) as client:
        asked = [asyncio.create_task(client.post("/predict/pass", json=hours)) for _ in range(5)]
        async with asyncio.timeout(60):
            while sum(task.done() for task in asked) < 1:
                await asyncio.sleep(0.01)
        short = asyncio.create_task(client.post("/predict/pass", json={"hours": [1.0] * 500}))
        await asyncio.sleep(0.1)
        held.free.set()
        assert (await short).status_code == 200
        assert Counter([(await task).status_code for task in asked]) == {200: 4, 429: 1}


def test_permits_are_counted_and_the_wait_is_measured() -> None:
    places = Admission(10, "rows")
    places.admit(10)
    with pytest.raises(Overloaded, match="10 of 10 rows") as refused:
        places.admit(1)
    assert refused.value.retry_after_s == 1  # nothing is known yet
    places.measure(2, 1.0)
    assert places.wait_s(7) == 4
    assert places.wait_s(10_000) == LONGEST_WAIT_S
    with pytest.raises(Overloaded):
        places.check()
    places.release(10)
    places.check()
    places.admit(10)
