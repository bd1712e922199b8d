"""How long connections are kept, and that none is closed on a request that is on its way."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from service.connections.lifetime import Lifetime
from tests.conftest import wait_for
from tests.connections.watched import Watched, connect, watched

ASK = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def service(published: Path) -> Iterator[Watched]:
    """It keeps idle connections for a second, and one more."""
    with watched(published, keep_alive_s=1) as service:
        yield service


def closed_after(connection: socket.socket) -> float:
    """Seconds until it is closed; what comes before is read."""
    begun = time.monotonic()
    while connection.recv(65536):
        pass
    return time.monotonic() - begun


def test_answers_say_how_long_the_connection_is_kept(service: Watched) -> None:
    assert service.client.post("/predict/pass", json={"hours": 4}).headers["keep-alive"] == "timeout=1"
    assert service.client.get("/health/live").headers["keep-alive"] == "timeout=1"
    last = service.client.get("/health/live", headers={"Connection": "close"})
    assert "keep-alive" not in last.headers


def test_a_stray_line_does_not_begin_the_idle_time_anew(service: Watched) -> None:
    with closing(connect(service)) as connection:
        connection.sendall(ASK)
        connection.settimeout(0.2)
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            try:
                if not connection.recv(65536):
                    return
            except TimeoutError:
                connection.sendall(b"\r\n")
            except ConnectionError:
                return
    pytest.fail("it is still open")


def test_a_request_that_has_come_is_answered_though_the_time_is_over(
    service: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop is busy while it comes and the idle time ends."""
    stands, goes_on = threading.Event(), threading.Event()

    def stand(*_: object) -> dict[str, bool]:
        stands.set()
        goes_on.wait(60)
        return {"live": True}

    with closing(connect(service)) as waiting, closing(connect(service)) as busy:
        waiting.sendall(ASK)
        assert waiting.recv(65536)
        monkeypatch.setattr("service.http.routes.Live", stand)
        busy.sendall(ASK)
        assert stands.wait(60)
        monkeypatch.undo()
        waiting.sendall(ASK)
        time.sleep(2.1)
        goes_on.set()
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200")
        assert busy.recv(65536).startswith(b"HTTP/1.1 200")


def test_what_has_come_is_answered_when_the_service_stops(published: Path) -> None:
    with watched(published) as stopping:
        idle, half = connect(stopping), connect(stopping)
        for connection in (idle, half):
            connection.sendall(ASK)
            assert connection.recv(65536)
        half.sendall(ASK[:20])
        protocols = cast(list[Lifetime], list(stopping.server.server_state.connections))
        wait_for(lambda: any(protocol._receiving for protocol in protocols))
        stopping.server.should_exit = True
        assert closed_after(idle) < 60
        half.sendall(ASK[20:])
        answer = half.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        idle.close()
        half.close()


def test_who_has_only_just_connected_when_the_service_stops_may_still_ask(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.connections.lifetime.GRACE_S", 5.0)
    with watched(published) as stopping:
        connections = stopping.server.server_state.connections
        with closing(connect(stopping)) as about_to_ask, closing(connect(stopping)) as silent:
            wait_for(lambda: len(connections) == 2)
            protocols = cast(list[Lifetime], list(connections))
            stopping.server.should_exit = True
            wait_for(lambda: all(protocol._stopping for protocol in protocols))
            about_to_ask.sendall(ASK)
            answer = about_to_ask.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in answer
            assert closed_after(silent) < 60


def test_an_answer_is_not_overtaken_by_a_reset(service: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body of no stated length goes on coming while its refusal is on its way."""
    monkeypatch.setattr("service.connections.lifetime.LINGER_S", 60)
    with closing(connect(service)) as connection:
        connection.sendall(
            b"POST /predict/pass HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n"
        )
        for _ in range(50):
            connection.sendall(10_000 * b"x")
            time.sleep(0.005)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 411")
        assert connection.recv(65536) == b""
