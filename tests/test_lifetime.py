"""How long connections are kept, and that none is closed on a request that is on its way."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service import lifetime
from tests.test_direct import Watched, asked, connect, watched

ASK = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
LINK_S = 0.05


@pytest.fixture(scope="module")
def service(published: Path) -> Iterator[Watched]:
    """It keeps idle connections for a second, and one more."""
    with watched(published) as service:
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


STRAY = [
    ASK + b"\r\n",
    ASK + b"\r\n\r\n\r\n",
    asked(4) + b"\r\n",
    b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234",
    b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n0\r\nX: y\r\n",
    b"nonsense\r\n\r\n",
    ASK + b"G",
]


@pytest.mark.parametrize("sent", STRAY)
def test_stray_bytes_keep_no_connection(
    service: Watched, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind an answer, a refusal or the rest of a body that nobody reads."""
    for module in ("lifetime", "connection"):
        monkeypatch.setattr(f"service.{module}.HEAD_TIMEOUT_S", 0.5)
    with closing(connect(service)) as connection:
        connection.sendall(sent)
        assert closed_after(connection) < 20


def test_a_stray_line_does_not_begin_the_idle_time_anew(service: Watched) -> None:
    with closing(connect(service)) as connection:
        connection.sendall(ASK)
        connection.settimeout(0.2)
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            try:
                if not connection.recv(65536):
                    return
            except TimeoutError:
                connection.sendall(b"\r\n")
            except ConnectionError:
                return
    pytest.fail("it is still open")


async def delayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction of a link on which everything takes LINK_S."""
    loop = asyncio.get_running_loop()
    while chunk := await reader.read(65536):
        loop.call_later(LINK_S, writer.write, chunk)
    loop.call_later(LINK_S, writer.close)


async def lost(service: Watched, waits: list[float]) -> int:
    """How many second requests get no answer, each sent so long after the first one's answer."""
    url = service.client.base_url
    links: set[asyncio.Task[None]] = set()

    async def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(url.host, url.port)
        links.add(asyncio.create_task(delayed(far_reader, writer)))
        await delayed(reader, far_writer)

    async def is_lost(wait: float) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASK)
        await reader.readuntil(b"}")
        await asyncio.sleep(wait)
        try:
            writer.write(ASK)
            await writer.drain()
            return not (await reader.read(65536)).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            return True
        finally:
            writer.close()

    async with await asyncio.start_server(link, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await asyncio.gather(*map(is_lost, waits))
        await asyncio.sleep(3 * LINK_S)
    await asyncio.gather(*links, return_exceptions=True)
    return sum(found)


WAITS = [0.9 + i / 400 for i in range(60)]  # around the second that an idle connection is said to be kept


def test_no_request_is_lost_that_is_sent_within_the_idle_time(
    service: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asyncio.run(lost(service, WAITS)) == 0
    monkeypatch.setattr(lifetime, "GRACE_S", 0.0)  # the control: closed when the time is over
    assert asyncio.run(lost(service, WAITS)) > 0


def test_a_request_that_has_come_is_answered_though_the_time_is_over(
    service: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop is busy while it comes and the idle time ends."""

    def stand(*_: object) -> dict[str, bool]:
        time.sleep(2.1)
        return {"live": True}

    with closing(connect(service)) as waiting, closing(connect(service)) as busy:
        waiting.sendall(ASK)
        assert waiting.recv(65536)
        time.sleep(0.3)
        monkeypatch.setattr("service.routes.Live", stand)
        busy.sendall(ASK)
        time.sleep(0.3)
        monkeypatch.undo()
        waiting.sendall(ASK)
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200")
        assert busy.recv(65536).startswith(b"HTTP/1.1 200")


def test_what_has_come_is_answered_when_the_service_stops(published: Path) -> None:
    with watched(published) as stopping:
        idle, half = connect(stopping), connect(stopping)
        for connection in (idle, half):
            connection.sendall(ASK)
            assert connection.recv(65536)
        half.sendall(ASK[:20])
        time.sleep(0.2)
        stopping.server.should_exit = True
        assert closed_after(idle) < 20
        half.sendall(ASK[20:])
        answer = half.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        idle.close()
        half.close()


def test_an_answer_is_not_overtaken_by_a_reset(service: Watched) -> None:
    """A body of no stated length goes on coming while its refusal is on its way."""
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
