"""What one request may cost the others. Every row has a control: the same service with a planted fault."""

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import httpx
import numpy as np
import psutil
import pytest

from service.errors import SHOWN_ERRORS
from tests.conftest import Digits, Served, metric_sum, png, served, wait_for
from tests.reliability.heartbeat import PLANTED
from tests.reliability.load import asking

Report = Callable[[str, str, str], None]

pytestmark = pytest.mark.alone  # compares what is computed in a time

HEART = "tests.reliability.heartbeat"
MOST_BYTES, ROOM_BYTES = 1024 * 1024, 32 * 1024 * 1024
OPTIONS = ("--max-body-bytes", str(2 * MOST_BYTES), "--max-pending-bytes", str(ROOM_BYTES))
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def service(published: Path) -> Iterator[Served]:
    with served("--artifacts", str(published), *OPTIONS, module=HEART) as running:
        yield running


@pytest.fixture(scope="module")
def faulty(published: Path) -> Iterator[Served]:
    faults = "every_error,announced,in_turn,unpaced"
    with served("--artifacts", str(published), *OPTIONS, module=HEART, **{PLANTED: faults}) as running:
        yield running


def longest_s(
    service: Served, ask: Callable[[httpx.Client], httpx.Response], times: int = 3
) -> tuple[float, httpx.Response]:
    """For how long the event loop was busy at a time, at the least of so many times; and the answer."""
    longest = []
    for _ in range(times):
        service.client.get("/heartbeat")
        response = ask(service.client)
        longest.append(service.client.get("/heartbeat").json())
    return min(longest), response


def _busy(busy_s: float, control_s: float) -> str:
    return f"loop busy for {1e3 * busy_s:.1f} ms (control {1e3 * control_s:.0f} ms)"


def listed(item: str, times: int) -> bytes:
    return b'{"hours": [%s]}' % ",".join([item] * times).encode()


DOCUMENTS = {
    "100,000 unknown keys": json.dumps({f"a{i}": 1 for i in range(100_000)}).encode(),
    "10,000 bad numbers": listed("-1", 10_000),
    "300,000 bad numbers": listed("-1", 300_000),
    "10,000 numbers out of range": listed("1e999", 10_000),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_bad_document(service: Served, faulty: Served, figure: Report, name: str) -> None:
    def ask(client: httpx.Client) -> httpx.Response:
        return client.post("/predict/pass", content=DOCUMENTS[name], headers=JSON)

    busy_s, response = longest_s(service, ask)
    control_s, _ = longest_s(faulty, ask)
    problem = response.json()
    figure(
        f"a document of {name}",
        "20 errors and a count; the event loop is never busy for long",
        f"{len(response.content):,} bytes, {_busy(busy_s, control_s)}",
    )
    assert response.status_code == 422
    assert len(problem["errors"]) == SHOWN_ERRORS
    assert problem["more_errors"] >= 9_980
    assert len(response.content) < 4_000
    assert busy_s < control_s / 4


def test_long_lists_and_many_pictures(
    service: Served, faulty: Served, digits: Digits, figure: Report
) -> None:
    dark = [("file", png(255 - image_u8)) for image_u8 in digits.images_u8[:64]]
    asked: dict[str, Callable[[httpx.Client], httpx.Response]] = {
        "10,000 hours": lambda c: c.post("/predict/pass", content=listed("1.25", 10_000), headers=JSON),
        "64 pictures that need preparation": lambda c: c.post("/predict/digit", files=dark),
    }
    for name, ask in asked.items():
        busy_s, response = longest_s(service, ask)
        control_s, control = longest_s(faulty, ask)
        figure(
            name,
            "the event loop is never busy for long",
            _busy(busy_s, control_s),
        )
        assert (response.status_code, control.status_code) == (200, 200)
        assert len(response.json()["predictions"]) == len(control.json()["predictions"])
        assert busy_s < control_s / 3


def sent(client: httpx.Client, request: bytes) -> int:
    """How many answers come back of requests that are sent as they are; the last one is said to be so."""
    address = client.base_url.host, client.base_url.port or 80
    with socket.create_connection(address, timeout=60) as connection:
        Thread(target=connection.sendall, args=(request,), daemon=True).start()
        return b"".join(iter(lambda: connection.recv(1 << 20), b"")).count(b"HTTP/1.1 200 ")


def test_what_comes_in_very_small_pieces(service: Served, faulty: Served, figure: Report) -> None:
    chunked = HEAD.replace(b"digit", b"pass").replace(b"image/png", b"application/json")
    chunked = chunked.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked\r\nConnection: close")
    document = b'{"hours": 4}' + 300_000 * b" "
    tiny = chunked + b"".join(b"1\r\n%c\r\n" % byte for byte in document) + b"0\r\n\r\n"
    many = 4_000 * b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    many = many[:-2] + b"Connection: close\r\n\r\n"
    for name, request, answers in (
        ("a body in 300,012 chunks", tiny, 1),
        ("4,000 requests sent at once", many, 4_000),
    ):
        longest = {}
        for served_by in (service, faulty):
            seconds = []
            for _ in range(2):
                served_by.client.get("/heartbeat")
                assert sent(served_by.client, request) == answers
                seconds.append(served_by.client.get("/heartbeat").json())
            longest[served_by is service] = min(seconds)
        figure(name, "the event loop is never busy for long", _busy(longest[True], longest[False]))
        assert longest[True] < longest[False] / 2


HEAD = b"POST /predict/digit HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def bodies_that_stall(service: Served, bodies: int, announced: int, sent: int) -> Iterator[None]:
    """Connections on which so many bytes of a body are announced, so many come, and then none."""
    url = service.client.base_url
    with ExitStack() as held:
        for _ in range(bodies):
            connection = socket.create_connection((url.host, url.port or 80), timeout=60)
            held.enter_context(connection)
            connection.sendall(HEAD % announced + sent * b"x")
        time.sleep(0.3)
        yield


@pytest.mark.parametrize("sent", [0, 1, MOST_BYTES - 1], ids=["announced", "one byte", "all but one"])
def test_bodies_that_do_not_come(service: Served, faulty: Served, figure: Report, sent: int) -> None:
    """They could take all room for bodies twice over."""
    bodies = 2 * ROOM_BYTES // MOST_BYTES
    picture = 20_000 * b"x"

    def statuses(served: Served) -> Counter[int]:
        with bodies_that_stall(served, bodies, MOST_BYTES, sent):
            hours = [served.client.post("/predict/pass", json={"hours": 4}) for _ in range(20)]
            headers = {"Content-Type": "image/png"}
            large = [
                served.client.post("/predict/digit", content=picture, headers=headers) for _ in range(20)
            ]
        return Counter(response.status_code for response in (*hours, *large))

    seen, control = statuses(service), statuses(faulty)
    figure(
        f"{bodies} bodies of 1 MiB of which {sent:,} bytes come, at 32 MiB for all",
        "others are answered as ever",
        f"{dict(seen)} (control: {dict(control)})",
    )
    assert seen == {200: 20, 415: 20}
    assert control[429] > 0


def test_answers_that_are_not_taken(service: Served, figure: Report) -> None:
    """The control is their size: all of them together are several times what memory grows by."""
    process = psutil.Process(service.process.pid)
    document = listed("1.25", 10_000)
    head = HEAD.replace(b"digit", b"pass").replace(b"image/png", b"application/json")
    size = len(service.client.post("/predict/pass", content=document, headers=JSON).content)
    before, answers = process.memory_full_info().uss, 240
    url = service.client.base_url
    with ExitStack() as held:
        for _ in range(answers):
            connection = socket.socket()
            held.enter_context(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((url.host, url.port))
            connection.sendall(head % len(document) + document)
        wait_for(lambda: metric_sum(service.client.get("/metrics").text, "abacus_queue_rows") == 0 or None)
        time.sleep(1)
        assert service.client.post("/predict/pass", json={"hours": 4}).status_code == 200
        grown = process.memory_full_info().uss - before
    figure(
        f"{answers} answers of {size:,} bytes that nobody takes, at 32 MiB for all",
        "memory grows by what is allowed",
        f"by {grown / 2**20:.0f} MiB of {answers * size / 2**20:.0f}",
    )
    assert grown < answers * size / 2
    wait_for(
        lambda: service.client.post("/predict/pass", content=document, headers=JSON).status_code == 200
    )


def test_small_requests_beside_long_lists(service: Served, faulty: Served, figure: Report) -> None:
    """32 lists of 10,000 hours at a time; the control takes rows in turn, on the event loop."""
    document = listed("1.25", 10_000)

    def small(client: httpx.Client, _: int) -> int:
        return client.post("/predict/pass", json={"hours": 4}).status_code

    def long(client: httpx.Client, _: int) -> int:
        return client.post("/predict/pass", content=document, headers=JSON).status_code

    def p99_s(served: Served, lists: int) -> float:
        url = served.client.base_url
        with ExitStack() as others:
            if lists:
                others.enter_context(asking(url, lists, long))
                time.sleep(0.5)
            served.client.get("/took")
            with asking(url, 1, small) as stream:
                time.sleep(2)
            took = served.client.get("/took").json()
        assert set(stream.results()) == {200}
        return float(np.quantile(took, 0.99))

    alone, beside, control = p99_s(service, 0), p99_s(service, 32), p99_s(faulty, 32)
    figure(
        "small requests beside 32 lists of 10,000 hours at a time",
        "p99 at most a few times undisturbed, of the time that the service computes meanwhile",
        f"{1e3 * alone:.1f} ms, beside them {1e3 * beside:.1f} ms (control {1e3 * control:.0f} ms)",
    )
    assert beside < min(control / 4, 6 * alone)
