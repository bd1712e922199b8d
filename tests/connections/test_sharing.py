"""New connections are shared out among workers: nobody is left out, and none waits for one that is busy."""

import asyncio
import errno
import logging
import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from service.connections import sharing
from service.connections.sharing import MANY, Counts, SharedListeners
from tests.conftest import both_workers, no_descriptor_left, served, wait_for

CONNECTIONS = 16


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def counts_of(folder: Path, pid: int, monkeypatch: pytest.MonkeyPatch) -> Counts:
    monkeypatch.setattr(os, "getpid", lambda: pid)
    return Counts(folder)


def test_each_is_told_of_the_fewest_that_another_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "LOOK_S", 0)
    ours, second, third = (counts_of(tmp_path, pid, monkeypatch) for pid in (1, 2, 3))
    ours.tell(1)
    second.tell(7)
    third.tell(5)
    assert [counts.fewest() for counts in (ours, second, third)] == [5, 1, 1]
    third.end()
    assert [counts.fewest() for counts in (ours, second)] == [7, 1]
    sharing.file_of(tmp_path, 2).unlink()  # it was killed, and buried
    assert ours.fewest() == MANY


def test_without_a_descriptor_left_what_was_known_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "LOOK_S", 0)
    ours, second = (counts_of(tmp_path, pid, monkeypatch) for pid in (1, 2))
    second.tell(7)
    assert ours.fewest() == 7
    with no_descriptor_left():
        second.tell(5)
        assert ours.fewest() == 5


def test_one_without_a_file_serves_nevertheless(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    counts = Counts(tmp_path / "gone")
    counts.tell(3)
    assert counts.fewest() == MANY
    assert "not shared out evenly" in caplog.text
    counts.end()


class Shared:
    """One that holds `held` connections, and listens; another worker holds `others`."""

    def __init__(self, listener: socket.socket, folder: Path, held: int, others: int) -> None:
        self.made: list[asyncio.Protocol] = []
        sharing.file_of(folder, 1).write_bytes(others.to_bytes(8, "little"))
        self.refused = 0
        self.listeners = SharedListeners([listener], Counts(folder), self._serve)
        self._held = held

    async def _serve(self, listener: socket.socket) -> asyncio.AbstractServer:
        if self.refused:
            self.refused -= 1
            listener.close()
            raise OSError(errno.EMFILE, "Too many open files")
        return await asyncio.get_running_loop().create_server(self._protocol, sock=listener)

    def _protocol(self) -> asyncio.Protocol:
        self.made.append(asyncio.Protocol())
        self.listeners.held.add(self.made[-1])
        return self.made[-1]

    async def listen(self) -> None:
        await self.listeners.listen()
        for number in range(self._held):
            self.listeners.held.add(number)
        await asyncio.sleep(0)  # it stops listening behind what the loop is at

    async def makes(self, wanted: int) -> None:
        async with asyncio.timeout(60):
            while len(self.made) < wanted:
                await asyncio.sleep(0.001)

    async def makes_one(self, address: tuple[str, int], expected: bool) -> None:
        with socket.create_connection(address):
            if expected:
                await self.makes(1)
            await asyncio.sleep(0.1)
            assert len(self.made) == expected
        self.listeners.close()


HELD = [
    (0, 0, True),
    (2, 0, True),
    (3, 0, False),
    (9, 7, True),
    (10, 7, False),
    (92, 80, True),
    (93, 80, False),
]


@pytest.mark.parametrize(("held", "others", "takes"), HELD)
async def test_one_that_holds_more_than_another_leaves_it_alone(
    listener: socket.socket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    held: int,
    others: int,
    takes: bool,
) -> None:
    monkeypatch.setattr(sharing, "LEFT_ALONE_S", 600)
    shared = Shared(listener, tmp_path, held, others)
    await shared.listen()
    await shared.makes_one(listener.getsockname(), takes)


async def test_what_nobody_takes_is_taken_all_the_same(listener: socket.socket, tmp_path: Path) -> None:
    """The other worker hangs, or is busy."""
    shared = Shared(listener, tmp_path, held=50, others=0)
    await shared.listen()
    with ExitStack() as clients:
        for _ in range(5):
            clients.enter_context(socket.create_connection(listener.getsockname()))
        await shared.makes(5)
    shared.listeners.close()


@pytest.mark.parametrize(("others", "takes"), [(1_000, False), (MANY, True)])
async def test_one_that_leaves_takes_nothing_while_another_stays(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int, takes: bool
) -> None:
    monkeypatch.setattr(sharing, "LEFT_ALONE_S", 600)
    shared = Shared(listener, tmp_path, 0, others)
    await shared.listen()
    shared.listeners.leave()
    await asyncio.sleep(0)
    await shared.makes_one(listener.getsockname(), takes)
    assert not sharing.file_of(tmp_path, os.getpid()).exists()


async def test_where_it_cannot_listen_again_it_tries_later(
    listener: socket.socket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sharing, "RETRY_S", 0.01)
    shared = Shared(listener, tmp_path, held=50, others=0)
    with caplog.at_level(logging.ERROR):
        await shared.listeners.listen()
        shared.refused = 2
        for number in range(50):
            shared.listeners.held.add(number)
        with socket.create_connection(listener.getsockname()):
            await shared.makes(1)
    assert caplog.messages == ["no connection can be taken: Too many open files"] * 2
    shared.listeners.close()


async def test_closed_while_it_leaves_others_alone_it_stays_closed(
    listener: socket.socket, tmp_path: Path
) -> None:
    shared = Shared(listener, tmp_path, held=50, others=0)
    await shared.listen()
    shared.listeners.close()
    with socket.create_connection(listener.getsockname()):
        await asyncio.sleep(0.1)
        assert shared.made == []


def test_workers_share_what_comes_at_once(published: Path) -> None:
    """Of so many that one worker took before, mostly all."""
    with served("--artifacts", str(published), "--workers", "2") as service:
        workers = both_workers(service)
        address = service.client.base_url.host, service.client.base_url.port or 80
        service.client.close()

        def shared_out() -> bool:
            """Again, where a busy machine has kept one of them from waking."""
            with ExitStack() as clients:
                for _ in range(CONNECTIONS):
                    client = clients.enter_context(socket.create_connection(address))
                    client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert client.recv(12) == b"HTTP/1.1 200"
                held = Counter(
                    worker.pid
                    for worker in workers
                    for connection in worker.net_connections("tcp")
                    if connection.status == psutil.CONN_ESTABLISHED
                )
            return set(held.values()) <= {7, 8, 9} and len(held) == 2

        assert wait_for(shared_out)
