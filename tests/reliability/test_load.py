"""Too much, or too late: exactly those fail that have to."""

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.conftest import Digits, Served, metric_sum, png, served, wait_for
from tests.reliability.heartbeat import HELD, PLANTED
from tests.reliability.load import ask_all, statuses, whole_request
from tests.reliability.test_cost import HEART

Report = Callable[[str, str, str], None]


class Holdable(NamedTuple):
    """A service that computes nothing while `file` is there."""

    served: Served
    file: Path

    def metric(self, prefix: str) -> float:
        return metric_sum(self.served.client.get("/metrics").text, prefix)

    @contextmanager
    def held(self, picture: bytes) -> Iterator[None]:
        """Its device is occupied by this picture until the block ends, which then is answered."""
        self.file.touch()
        url = f"{self.served.client.base_url}/predict/digit"
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(httpx.post, url, files={"file": picture}, timeout=300, verify=False)
            try:
                wait_for(lambda: self.waiting() == 1)
                yield
            finally:
                self.file.unlink()
            assert held.result().status_code == 200

    def waiting(self) -> float:
        return self.metric('abacus_queue_rows{model="digit"}')


@pytest.fixture(scope="module")
def service(blockable: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holdable]:
    file = tmp_path_factory.mktemp("held") / "held"
    options = ("--artifacts", str(blockable), "--max-queued-batches", "2", "--batch-timeout-s", "600")
    with served(*options, module=HEART, **{PLANTED: "held", HELD: str(file)}) as running:
        yield Holdable(running, file)


def post(client: httpx.Client, picture: bytes) -> httpx.Response:
    return client.post("/predict/digit", files={"file": picture})


def test_more_than_fits(service: Holdable, digits: Digits, figure: Report) -> None:
    places, more = 128, 200
    picture, url = png(digits.images_u8[0]), service.served.client.base_url
    clients = places - 1 + more
    with ThreadPoolExecutor(1) as pool:
        with service.held(picture):
            asking = pool.submit(ask_all, url, clients, clients, lambda c, _: post(c, picture))
            wait_for(lambda: service.metric('abacus_rejections_total{reason="overloaded"') >= more)
        responses = asking.result()
    refused = [response for response in responses if response.status_code == 429]
    with_wait = sum(int(response.headers["Retry-After"]) >= 1 for response in refused)
    again = ask_all(url, 16, len(refused), lambda c, _: post(c, picture))
    figure(
        f"{places} places, {places + more} at once on a blocked device",
        f"exactly {more} × 429, each with Retry-After, then all succeed",
        f"{len(refused)} × 429, {with_wait} with Retry-After; afterwards {statuses(again)}",
    )
    assert statuses(responses) == {200: places - 1, 429: more}
    assert with_wait == more
    assert statuses(again) == {200: more}


@pytest.mark.parametrize("timeout_ms", [100, 60_000], ids=["100 ms", "control"])
def test_a_hundred_milliseconds_to_live(
    service: Holdable, digits: Digits, figure: Report, timeout_ms: int
) -> None:
    """The control has time enough, and its rows are seen to be computed."""
    picture, url = png(digits.images_u8[0]), service.served.client.base_url
    before = service.metric('abacus_batch_rows_sum{model="digit"')
    with ThreadPoolExecutor(1) as pool:
        with service.held(picture):
            asking = pool.submit(at_once, url, picture, timeout_ms, 50)
            if timeout_ms > 100:
                wait_for(lambda: service.waiting() == 51)
            else:
                asking.result()
        answers = Counter(asking.result())
    rows = service.metric('abacus_batch_rows_sum{model="digit"') - before - 1
    if timeout_ms > 100:
        assert (answers, rows) == ({200: 50}, 50)
        return
    figure(
        "50 requests with 100 ms to live behind a job that does not end",
        "50 × 504, 0 rows computed for them",
        f"{dict(answers)}, {rows:.0f} rows",
    )
    assert (answers, rows) == ({504: 50}, 0)


def at_once(url: httpx.URL, picture: bytes, timeout_ms: int, requests: int) -> list[int]:
    """The statuses of requests, each sent in one piece: no body comes later than its deadline."""
    request = whole_request(picture, b"Connection: close", b"X-Request-Timeout-Ms: %d" % timeout_ms)
    with ExitStack() as open_ones:
        connections = [
            open_ones.enter_context(socket.create_connection((url.host, url.port or 80), timeout=60))
            for _ in range(requests)
        ]
        for connection in connections:
            connection.sendall(request)
        return [int(connection.recv(65536).split(b" ", 2)[1]) for connection in connections]
