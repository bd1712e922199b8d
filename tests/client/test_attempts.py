"""What is asked again, when, and what never; how long a client waits; what it says of itself."""

import gzip
import math
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from abacus_client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    InputError,
    NoAnswer,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    Problem,
    RequestTimeout,
    ServiceError,
    TimedOut,
    Unauthorized,
    UnexpectedAnswer,
)
from abacus_client.errors import error_of
from abacus_client.retrying import Attempts, retry_after_s
from service.http.keys import add_key
from tests.client.conftest import SEVEN
from tests.client.relay import CUT, DROP, Relay, refusal
from tests.conftest import free_ports
from tests.connections.watched import watched

NOW = "0"


@pytest.fixture
def asking(relay: Relay) -> Iterator[Client]:
    with Client(relay.address) as client:
        yield client


@pytest.mark.parametrize(
    "first",
    [
        [refusal(429, NOW)],
        [refusal(503, NOW)] * 2,
        [refusal(502, NOW)],
        [DROP],
        [CUT],
    ],
    ids=["429", "503 twice", "502", "no answer", "half an answer"],
)
def test_what_was_not_answered_is_asked_again(asking: Client, relay: Relay, first: list[bytes]) -> None:
    """Under the same id, and within the same time."""
    relay.first.extend(first)
    assert asking.predict("pass", hours=4)["passed"] is True
    assert len(relay.heard) == len(first) + 1
    assert len({heard.request_id for heard in relay.heard}) == 1
    times = [heard.timeout_ms for heard in relay.heard]
    assert times == sorted(times, reverse=True)
    assert 0 < times[-1] <= times[0] <= 30_000


async def test_likewise_in_an_event_loop(relay: Relay) -> None:
    relay.first.extend([refusal(429, NOW), DROP, refusal(503, NOW)])
    async with AsyncClient(relay.address) as client:
        assert (await client.predict("pass", hours=4))["passed"] is True
    assert len({heard.request_id for heard in relay.heard}) == 1
    assert len(relay.heard) == 4


@pytest.mark.parametrize("status", [400, 404, 408, 413, 422, 500, 501, 504])
def test_what_was_answered_is_not_asked_again(asking: Client, relay: Relay, status: int) -> None:
    relay.first.append(refusal(status, NOW))
    with pytest.raises(ServiceError) as refused:
        asking.predict("pass", {"hours": 4})
    assert refused.value.status == status
    assert len(relay.heard) == 1


BLANK = '{"type":"about:blank","title":"","status":%d,"detail":"No service is ready.","request_id":"1"}'
BY_STATUS = {
    401: Unauthorized,
    408: RequestTimeout,
    413: PayloadTooLarge,
    429: Overloaded,
    502: NotReady,
    503: NotReady,
    504: DeadlineExceeded,
}


@pytest.mark.parametrize("status", BY_STATUS)
def test_what_a_proxy_refuses_is_known_by_its_status(relay: Relay, status: int) -> None:
    """In HTML, as nginx, or as a problem without a type, as the HAProxy that comes with Abacus."""
    relay.first.extend([refusal(status), refusal(status, page=BLANK % status)])
    with Client(relay.address, retries=0) as client:
        for _ in range(2):
            with pytest.raises(BY_STATUS[status]) as refused:
                client.predict("pass", {"hours": 4})
            assert refused.value.status == status


def test_what_a_proxy_finds_too_large_is_sent_apart(asking: Client, relay: Relay) -> None:
    relay.first.append(refusal(413))
    assert len(asking.predict("pass", hours=[1, 2, 3, 4])) == 4
    assert len(relay.heard) == 3


def test_of_many_only_what_was_not_answered_is_asked_again(asking: Client, relay: Relay) -> None:
    relay.first.extend([refusal(429, NOW), DROP])
    rows = [{"hours": hours} for hours in range(100)]
    answers = asking.predict("pass", rows, batch=10)
    assert [answer["hours"] for answer in answers] == list(range(100))
    bodies = [heard.body for heard in relay.heard]
    assert len(bodies) == 12
    assert len(set(bodies)) == 10


def test_so_often_and_no_more(relay: Relay) -> None:
    relay.first.extend([refusal(503, NOW)] * 9)
    with Client(relay.address, retries=3) as client, pytest.raises(ServiceError) as refused:
        client.predict("pass", {"hours": 4})
    assert (refused.value.status, refused.value.retry_after_s, len(relay.heard)) == (503, 0, 4)


def test_what_would_come_too_late_is_not_waited_for(asking: Client, relay: Relay) -> None:
    relay.first.append(refusal(429, "3600"))
    with pytest.raises(ServiceError) as refused:
        asking.predict("pass", {"hours": 4})
    assert (refused.value.status, len(relay.heard)) == (429, 1)


def test_waits_are_those_asked_for_or_grow() -> None:
    def refused(retry_after: float | None) -> ServiceError:
        problem = Problem(type="about:blank", title="", status=429, detail="", request_id="")
        return error_of(problem, retry_after)

    attempts = Attempts(1000, 20)
    assert attempts.wait_s(refused(7)) == 7
    waits = [attempts.wait_s(refused(None)) for _ in range(12)]
    assert waits[0] <= 0.2
    assert 2.5 <= waits[-1] <= 5
    assert attempts.wait_s(NoAnswer()) <= 5
    for error in (TimedOut(), InputError(), UnexpectedAnswer()):
        with pytest.raises(type(error)):
            attempts.wait_s(error)


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < (retry_after_s(soon) or 0) <= 100
    assert retry_after_s("Sun, 06 Nov 1994 08:49:37 GMT") == 0
    assert [retry_after_s(text) for text in ("3", " 3 ", "-3", "soon", "", None)] == [3, 3, *[None] * 4]


def test_a_service_that_is_not_there_yet(address: str) -> None:
    """Its port is refused, until it listens."""
    (port,) = free_ports(1)
    with Client(f"http://127.0.0.1:{port}", retries=0) as client, pytest.raises(NoAnswer):
        client.models()
    service = socket.socket()
    found: list[int] = []

    def listen_late() -> None:
        host, _, to = address.removeprefix("http://").partition(":")
        service.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        service.bind(("127.0.0.1", port))
        service.listen()
        incoming, _ = service.accept()
        with incoming, socket.create_connection((host, int(to))) as outgoing:
            outgoing.sendall(incoming.recv(65536))
            found.append(1)
            incoming.sendall(outgoing.recv(65536))

    with Client(f"http://127.0.0.1:{port}", retries=20) as client:
        late = threading.Timer(0.3, listen_late)
        late.start()
        assert client.model("pass").ready
        late.join()
    service.close()
    assert found == [1]


def test_nobody_answers_in_time() -> None:
    """A port that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(address, timeout=0.1) as client, pytest.raises(TimedOut):
            client.models()


def test_an_answer_that_comes_byte_by_byte_is_not_in_time(relay: Relay) -> None:
    def dripping() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
        for _ in range(100):
            time.sleep(0.04)
            yield b" "

    relay.first.append(dripping())
    with Client(relay.address) as client, pytest.raises(TimedOut):
        client.predict("pass", {"hours": 4}, timeout=0.2)


def test_an_answer_may_be_compressed(relay: Relay) -> None:
    page = gzip.compress(b'{"models": []}')
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(page)}\r\n\r\n"
    relay.first.append(head.encode() + page)
    with Client(relay.address) as client:
        assert client._sent("POST", "models", lambda response: response.json()) == {"models": []}


async def test_nobody_answers_in_time_in_an_event_loop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with AsyncClient(address) as client:
            with pytest.raises(TimedOut):
                await client.predict("pass", {"hours": 4}, timeout=0.1)


def test_the_service_is_told_of_the_time(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abacus_client.retrying.GRACE_S", 60.0)
    with Client(address) as client:
        client.predict("digit", SEVEN)
        with pytest.raises((DeadlineExceeded, RequestTimeout)) as late:  # or before the body had come
            client.predict("digit", SEVEN, explain=True, timeout=0.001)
    assert isinstance(late.value, TimedOut)


def test_keys(committed: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    key = add_key(keys, "reader")
    with watched(committed, api_keys_file=keys) as service:
        address = str(service.client.base_url)
        with Client(address, api_key=key) as client:
            assert client.predict("pass", hours=4)["passed"] is True
        for wrong in (None, "wrong"):
            with Client(address, api_key=wrong) as client, pytest.raises(Unauthorized):
                client.predict("pass", hours=4)


def test_what_is_no_abacus(relay: Relay) -> None:
    relay.first.append(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    relay.first.append(b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    with Client(relay.address) as client:
        for _ in range(2):
            with pytest.raises(UnexpectedAnswer):
                client.predict("pass", {"hours": 4})


NO_ADDRESSES = [
    "nonsense",
    "ftp://127.0.0.1",
    "http://127.0.0.1:port",
    "http://127.0.0.1:0",
    "http://127.0.0.1:65536",
    "http://127.0.0.1:99999",
    "http://127.0.0.1:-1",
    "http://",
    "",
    "http://[::1",
    f"http://{300 * 'a'}",
    "http://\0",
]
# Of a client, and of one call.
NO_CLIENTS: list[dict[str, Any]] = [
    {"timeout": 0},
    {"timeout": math.nan},
    {"timeout": math.inf},
    {"timeout": 1e10},
    {"retries": -1},
    {"concurrency": 0},
    {"api_key": "é"},
]
NO_CALLS: list[dict[str, Any]] = [
    {"timeout": 0},
    {"timeout": math.inf},
    {"batch": 0},
    {"request_id": "a\nb"},
    {"request_id": "é"},
]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InputError), Client(address) as client:
        client.models()


@pytest.mark.parametrize("address", NO_ADDRESSES)
async def test_an_address_that_is_none_in_an_event_loop(address: str) -> None:
    """A library of its own may find no host of such a name."""
    with pytest.raises((InputError, NoAnswer)):
        async with AsyncClient(address, retries=0) as client:
            await client.models()


def test_options_that_make_no_sense(address: str) -> None:
    for options in NO_CLIENTS:
        for kind in (Client, AsyncClient):
            with pytest.raises(InputError):
                kind(address, **options)
    with Client(address, timeout=1e7) as client:
        for wrong in NO_CALLS:
            with pytest.raises(InputError):
                client.predict("pass", {"hours": 4}, **wrong)
        with pytest.raises(InputError):
            client.model("\udcff")
        assert client.predict("pass", {"hours": 4}, timeout=1e9).version == 1


async def test_options_that_make_no_sense_in_an_event_loop(address: str) -> None:
    async with AsyncClient(address, timeout=1e7) as client:
        for wrong in NO_CALLS:
            with pytest.raises(InputError):
                await client.predict("pass", {"hours": 4}, **wrong)
        with pytest.raises(InputError):
            await client.model("\udcff")
        assert (await client.predict("pass", {"hours": 4}, timeout=1e9)).version == 1


def test_connections_are_kept(address: str) -> None:
    with Client(address) as client:
        for _ in range(5):
            client.predict("pass", hours=4)
        pool = client._http._transport._pool  # type: ignore[attr-defined]
        assert len(pool.connections) == 1
