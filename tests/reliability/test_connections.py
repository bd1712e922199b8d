"""Connections that are idle, or that clients leave in the midst of something, when they are closed."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from service.connections import lifetime
from service.connections.lifetime import Lifetime
from tests.connections.watched import Watched, connect, watched

ASK = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
LINK_S = 0.05

Report = Callable[[str, str, str], None]

pytestmark = pytest.mark.alone  # requests are sent at the end of a second, to the hundredth


@pytest.fixture(scope="module")
def service(published: Path) -> Iterator[Watched]:
    """It keeps idle connections for a second, and one more."""
    with watched(published, keep_alive_s=1) as service:
        yield service


async def delayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction of a link on which everything takes LINK_S."""
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while chunk := await reader.read(65536):
            loop.call_later(LINK_S, writer.write, chunk)
    await asyncio.sleep(LINK_S)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def lost(service: Watched, waits: list[float]) -> int:
    """How many second requests get no answer, each sent so long after the first one's answer."""
    url = service.client.base_url
    links: list[asyncio.Task[None]] = []

    async def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(url.host, url.port)
        for there, here in ((reader, far_writer), (far_reader, writer)):
            links.append(asyncio.create_task(delayed(there, here)))

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
    # Until all are closed: one that was left would be told of in whichever test comes later.
    await asyncio.gather(*links, return_exceptions=True)
    return sum(found)


def around_a_second(count: int) -> list[float]:
    """As long as an idle connection is said to be kept."""
    return [0.9 + 0.15 * i / count for i in range(count)]


def test_no_request_is_lost_that_is_sent_within_the_idle_time(
    service: Watched, long: bool, figure: Report
) -> None:
    count = 600 if long else 60
    found = asyncio.run(lost(service, around_a_second(count)))
    figure(
        f"{count} requests around the end of the idle time, over a link of 50 ms", "0 lost", f"{found} lost"
    )
    assert found == 0


def test_without_a_grace_some_would_be_lost(service: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: closed when the time is over."""
    monkeypatch.setattr(lifetime, "GRACE_S", 0.0)
    assert asyncio.run(lost(service, around_a_second(60))) > 0


STRAY = [
    b"\r\n",
    b"G",
    b"nonsense\r\n\r\n",
    b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234",
    b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n0\r\nX: y\r\n",
]


def open_after(service: Watched, seconds: float) -> int:
    """Of connections that send a stray byte behind an answer, and more: how many are open so much later."""
    connections = [connect(service) for _ in range(10) for _ in STRAY]
    for number, connection in enumerate(connections):
        connection.sendall(ASK + STRAY[number % len(STRAY)])
        connection.settimeout(seconds)
    found = 0
    for connection in connections:
        with closing(connection):
            found += is_open(connection)
    return found


def is_open(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return True
    except ConnectionError:
        pass
    return False


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lifetime", "connection"):
        monkeypatch.setattr(f"service.connections.{module}.HEAD_TIMEOUT_S", 0.5)


@pytest.mark.usefixtures("impatient")
def test_stray_bytes_keep_no_connection(service: Watched, figure: Report) -> None:
    found = open_after(service, 20)
    figure("50 connections with stray bytes behind an answer or a refusal", "all closed", f"{found} open")
    assert found == 0


@pytest.mark.usefixtures("impatient")
def test_without_the_idle_time_they_would_keep_some(
    service: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lifetime, "_await_more", lambda _: None)
    connection = connect(service)
    with closing(connection):
        connection.sendall(ASK + b"\r\n")
        connection.settimeout(4)
        assert is_open(connection)
