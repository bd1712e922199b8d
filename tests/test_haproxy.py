"""deploy/haproxy: what becomes of a request, its identity and its answer on the way through HAProxy."""

import json
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from service import request_id
from service.settings import Settings
from tests.conftest import COMMITTED, Served, free_ports, served, wait_for
from tests.reliability.balanced import HAPROXY, haproxy, is_installed

pytestmark = pytest.mark.skipif(not is_installed(haproxy), reason="haproxy is not installed")

HEAD = b"POST /predict/digit HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"


class Mirror(BaseHTTPRequestHandler):
    """A service that answers with the fields it was sent; asked for `/end` it ends without an answer."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@contextmanager
def mirrored() -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Mirror,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port, asked
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def little() -> Iterator[Served]:
    """A real service that has little room."""
    with served(
        "--artifacts", str(COMMITTED), "--models", "digit", "--max-pending-bytes", "100000"
    ) as service:
        yield service


def problem(response: httpx.Response, status: int) -> dict[str, object]:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    said: dict[str, object] = response.json()
    assert said["status"] == status
    return said


def test_ids_and_addresses_reach_the_service(tmp_path: Path) -> None:
    with mirrored() as (port, _), haproxy([port], tmp_path) as balancer:

        def sent(**fields: str) -> dict[str, str]:
            given = {name.replace("_", "-"): value for name, value in fields.items()}
            return dict(balancer.client.get("/", headers=given).json())

        assert sent(x_request_id="mine-1")["x-request-id"] == "mine-1"
        made = [sent()["x-request-id"]]
        made += [sent(x_request_id=name)["x-request-id"] for name in ("not one", 'one,"two"')]
        assert len({uuid.UUID(name) for name in made}) == 3
        fields = sent(x_forwarded_for="192.0.2.1", host="digits.example")
        assert (fields["x-forwarded-for"], fields["x-forwarded-proto"]) == ("127.0.0.1", "http")
        assert fields["host"] == fields["x-forwarded-host"] == "digits.example"
        log = tmp_path / "haproxy.log"
        wait_for(lambda: all(f"{{{name}}}" in log.read_text() for name in ("mine-1", *made)))


def test_it_takes_the_ids_that_the_service_takes() -> None:
    (pattern,) = re.findall(r"-m reg \^(\S+)\$ }", HAPROXY)
    assert pattern.encode() == cast(Any, request_id._WELL_FORMED).__self__.pattern


def test_what_no_service_was_sent_is_sent_to_another(tmp_path: Path) -> None:
    (nobody,) = free_ports(1)
    unchecked = HAPROXY.replace("default-server check ", "default-server ")  # it does not know of nobody
    with mirrored() as (port, _), haproxy([nobody, port], tmp_path, unchecked) as balancer:
        url = balancer.client.base_url
        assert [httpx.get(url, timeout=60).status_code for _ in range(6)] == [200] * 6
        wait_for(
            lambda: re.search(r"/\+1 \d+/\d+ ", (tmp_path / "haproxy.log").read_text())
        )  # redispatched


def test_what_one_was_sent_is_sent_to_no_other(tmp_path: Path) -> None:
    with mirrored() as (port, asked), mirrored() as (other, asked_other):
        with haproxy([port, other], tmp_path) as balancer:
            url = balancer.client.base_url.join("/predict/pass")
            answer = httpx.post(url, json={"hours": 4}, headers={"X-Request-ID": "mine"}, timeout=60)
        assert problem(answer, 502)["request_id"] == answer.headers["x-request-id"] == "mine"
        assert asked + asked_other == ["/predict/pass"]


def test_no_service_is_a_problem_with_a_time_to_come_again(tmp_path: Path) -> None:
    with haproxy(free_ports(1), tmp_path) as balancer:
        answer = balancer.client.post("/predict/pass", json={"hours": 4})
        assert problem(answer, 503)["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["retry-after"] == "1"


def test_an_upload_is_streamed_and_refusals_come_through(little: Served, tmp_path: Path) -> None:
    port = little.client.base_url.port or 80
    with haproxy([port], tmp_path) as balancer:
        url = balancer.client.base_url

        def post(size: int) -> httpx.Response:
            return balancer.client.post(
                "/predict/digit", content=size * b"x", headers={"Content-Type": "image/png"}
            )

        def post_beside_a_large_one() -> httpx.Response | None:
            """What is refused; None where the small one was there first, and the large one was refused."""
            with socket.create_connection((url.host, url.port or 80)) as large:
                large.sendall(HEAD % 99_000 + 80_000 * b"x")
                answers = [post(15_000) for _ in range(3)]
            return next((answer for answer in answers if answer.status_code == 429), None)

        answer = wait_for(post_beside_a_large_one)
        assert int(answer.headers["retry-after"]) >= 1
        assert problem(answer, 429)["request_id"] == answer.headers["x-request-id"]
        too_large = problem(post(5_000_000), 413)
        assert too_large["type"] == "urn:problem-type:abacus:payload-too-large"
        for path in ("/metrics", "/%6Detrics", "/metrics?x"):
            assert problem(balancer.client.get(path), 404)["detail"]
        assert little.client.get("/metrics").status_code == 200


def test_its_times_fit_those_of_the_service() -> None:
    settings = {name: field.default for name, field in Settings.model_fields.items()}
    times = {name: int(seconds) for name, seconds in re.findall(r"timeout ([\w-]+) (\d+)s", HAPROXY)}
    (every, fall, purge) = map(
        int, re.findall(r"inter (\d+)s fall (\d+) .* pool-purge-delay (\d+)s", HAPROXY)[0]
    )
    (drain,) = re.findall(r"`--drain-s (\d+)`", HAPROXY)
    assert max(times["http-keep-alive"], purge) < settings["keep_alive_s"]
    assert times["server"] > settings["request_timeout_s"]
    assert int(drain) > every * fall + 1
