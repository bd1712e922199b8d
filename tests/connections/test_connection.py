"""Connections at work, and heads that are too slow, too large or no HTTP, over raw sockets."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.connections.answers import Answers
from service.connections.connection import MAX_HEAD_BYTES
from tests.conftest import served


@pytest.fixture(scope="module")
def client(published: Path) -> Iterator[httpx.Client]:
    with served("--artifacts", str(published)) as service:
        yield service.client


def connect(client: httpx.Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=30)


def send_for_ever(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"X-Filler: " + 1000 * b"x" + b"\r\n")
        time.sleep(0.01)


def read_all(connection: socket.socket) -> bytes:
    answer = b""
    while chunk := connection.recv(65536):
        answer += chunk
    return answer


def problem(answer: bytes) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    document: dict[str, object] = json.loads(body)
    assert str(document["status"]).encode() in head.splitlines()[0]
    return document


def test_a_head_that_dribbles_is_408(client: httpx.Client) -> None:
    with connect(client) as slow:
        slow.sendall(b"POST /predict/pass HTTP/1.1\r\nHost: x\r\n")
        assert problem(read_all(slow))["status"] == 408


def test_a_connection_that_says_nothing_is_closed(client: httpx.Client) -> None:
    with connect(client) as silent:
        assert read_all(silent) == b""


def test_a_head_without_end_is_431(client: httpx.Client) -> None:
    with connect(client) as greedy:
        greedy.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n")
        for _ in range(2 * MAX_HEAD_BYTES // 1000):
            greedy.sendall(b"X-Filler: " + 1000 * b"x" + b"\r\n")
        assert problem(read_all(greedy))["status"] == 431
        with pytest.raises(OSError, match=r"."):
            send_for_ever(greedy)  # it is cut off, though not at once
    assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /health/live?" + 9_000 * b"a" + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /health/live?" + 7_000 * b"a" + b" HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + 200 * b"a: b\r\n" + b"\r\n", 431),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + 50_000 * b"a:b\r\n" + b"\r\n", 431),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + 127 * b"a: b\r\n" + b"\r\n", 200),
        (b"GET /health/live?" + b"&a=b" * 1_500 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (
            b"POST /predict/digit?"
            + b"&a=b" * 1_500
            + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            422,
        ),
    ],
    ids=range(7),
)
def test_no_head_has_more_than_is_looked_at(client: httpx.Client, head: bytes, status: int) -> None:
    with connect(client) as asking:
        asking.sendall(head)
        assert b" %d " % status in asking.recv(65536).splitlines()[0]


@pytest.mark.parametrize(
    "text", [b"hello\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
def test_what_is_no_http_is_a_400_problem(client: httpx.Client, text: bytes) -> None:
    with connect(client) as strange:
        strange.sendall(text)
        assert problem(read_all(strange))["status"] == 400


@pytest.mark.parametrize("hours", [b"4", b"true"], ids=["answered directly", "left to ASGI"])
@pytest.mark.parametrize("last", [b"Connection: close\r\n", b""], ids=["says close", "closes its side"])
def test_the_last_of_several_at_once_is_answered(client: httpx.Client, hours: bytes, last: bytes) -> None:
    body = b'{"hours": %b}' % hours
    first = b"POST /predict/pass HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    second = b"GET /health/live HTTP/1.1\r\nHost: x\r\n%b\r\n" % last
    with connect(client) as asking:
        asking.sendall(b"%bContent-Length: %d\r\n\r\n%b%b" % (first, len(body), body, second))
        if not last:
            asking.shutdown(socket.SHUT_WR)
        answers = read_all(asking).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200" if hours == b"4" else b"422", b"200"]
    assert [b"\r\nconnection: close" in answer.lower() for answer in answers] == [False, bool(last)]


def test_smuggled_requests_are_refused(client: httpx.Client) -> None:
    """A length and chunks contradict each other (RFC 9112, section 6.3): never two answers."""
    with connect(client) as sly:
        sly.sendall(
            b"POST /predict/pass HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            b"GET /models HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        answer = read_all(sly)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 4")


def test_a_hundred_idle_connections_hinder_nobody(client: httpx.Client) -> None:
    idle = [connect(client) for _ in range(100)]
    assert client.post("/predict/pass", json={"hours": 4}).status_code == 200
    for connection in idle:
        connection.close()


def test_requests_sent_at_once_are_answered_in_turn(client: httpx.Client) -> None:
    heads = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /models/none HTTP/1.1\r\nHost: x\r\n"
    with connect(client) as eager:
        eager.sendall(heads + b"Connection: close\r\n\r\n")
        first, second = read_all(eager).split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200")
    assert first.endswith(b'{"live":true}')
    assert second.startswith(b"404")
    assert second.endswith(b"}")


def test_an_answer_without_a_body_arrives(client: httpx.Client) -> None:
    """To HEAD, only the head that GET would have is sent, and the connection stays open."""
    with connect(client) as asking:
        for _ in range(2):
            asking.sendall(b"HEAD /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = asking.recv(65536)
            assert answer.startswith(b"HTTP/1.1 ")
            assert answer.endswith(b"\r\n\r\n")


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(client: httpx.Client) -> None:
    body = b'{"hours": 4}'
    with connect(client) as polite:
        polite.sendall(
            b"POST /predict/pass HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n" % len(body)
        )
        assert polite.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        polite.sendall(body)
        head, _, answer = read_all(polite).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert json.loads(answer)["passed"] is True


def test_head_and_body_of_an_answer_are_one_write() -> None:
    written: list[bytes] = []

    class Wire(asyncio.Transport):
        def writelines(self, chunks: Any) -> None:
            written.append(b"".join(chunks))

        def write(self, data: Any) -> None:
            written.append(data)

    answers = Answers(Wire(), lambda: None)
    for _ in range(2):
        answers.write(b"HTTP/1.1 200 OK\r\n\r\n")
        answers.write(b"body")
        answers.write(b", more of it")
        answers.end()
    answers.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    answers.end()
    once = [b"HTTP/1.1 200 OK\r\n\r\nbody", b", more of it"]
    assert written == [*once, *once, b"HTTP/1.1 204 No Content\r\n\r\n"]
