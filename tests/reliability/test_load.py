"""Too much, or too late: exactly those fail that have to."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.conftest import Digits, Served, metric_sum, png, served
from tests.reliability.conftest import white_square
from tests.reliability.load import ask_all, statuses, whole_request

Report = Callable[[str, str, str], None]

pytestmark = pytest.mark.alone  # the device must be blocked for as long as all clients take to come

BLOCKING, BLOCKING_LONG = png(white_square().numpy()), png(white_square(20).numpy())


@pytest.fixture(scope="module")
def service(blockable: Path) -> Iterator[Served]:
    with served(
        "--artifacts", str(blockable), "--max-queued-batches", "2", "--batch-timeout-s", "600"
    ) as running:
        yield running


def post(client: httpx.Client, picture: bytes) -> httpx.Response:
    return client.post("/predict/digit", files={"file": picture})


def metric(client: httpx.Client, prefix: str) -> float:
    return metric_sum(client.get("/metrics").text, prefix)


def block(service: Served, pool: ThreadPoolExecutor, picture: bytes = BLOCKING) -> Future[httpx.Response]:
    """Occupy the device for seconds, and return once it is."""
    url = f"{service.client.base_url}/predict/digit"
    blocking = pool.submit(httpx.post, url, files={"file": picture}, timeout=120)
    while metric(service.client, 'abacus_queue_rows{model="digit"}') < 1:
        assert not blocking.done()
        time.sleep(0.005)
    return blocking


def test_more_than_fits(service: Served, digits: Digits, figure: Report) -> None:
    places, more = 128, 200
    picture = png(digits.images_u8[0])
    with ThreadPoolExecutor(1) as pool:
        blocking = block(service, pool, BLOCKING_LONG)  # as long as all these clients take to connect
        responses = ask_all(
            service.client.base_url, places - 1 + more, places - 1 + more, lambda c, _: post(c, picture)
        )
        assert blocking.result().status_code == 200
    refused = [response for response in responses if response.status_code == 429]
    with_wait = sum(int(response.headers["Retry-After"]) >= 1 for response in refused)
    again = ask_all(service.client.base_url, 16, len(refused), lambda c, _: post(c, picture))
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
    service: Served, digits: Digits, figure: Report, timeout_ms: int
) -> None:
    """The control has time enough, and its rows are seen to be computed."""
    picture = png(digits.images_u8[0])
    before = metric(service.client, 'abacus_batch_rows_sum{model="digit"')
    with ThreadPoolExecutor(1) as pool:
        blocking = block(service, pool)
        answers = Counter(at_once(service.client.base_url, picture, timeout_ms, 50))
        early = not blocking.done()
        assert blocking.result().status_code == 200
    rows = metric(service.client, 'abacus_batch_rows_sum{model="digit"') - before - 1
    if timeout_ms > 100:
        assert (answers, rows) == ({200: 50}, 50)
        return
    figure(
        "50 requests with 100 ms to live behind a 2 s job",
        "50 × 504, 0 rows computed for them",
        f"{dict(answers)}, {rows:.0f} rows",
    )
    assert early
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
