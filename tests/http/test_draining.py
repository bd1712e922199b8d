"""A stop loses nothing: what is in flight is answered, readiness goes first, the exit code is 0."""

import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.conftest import sent, served, wait_for
from tests.workers.slow_import import slow_end


def slow_picture() -> bytes:
    """A one on grainy paper of 8 megapixels, which takes a while to decode."""
    paper = np.random.default_rng(0).integers(240, 248, (2800, 2800), dtype=np.uint8)
    paper[560:2240, 1330:1470] = 20
    buffer = BytesIO()
    Image.fromarray(paper).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_in_flight_is_answered(published: Path, workers: int) -> None:
    picture, requests = slow_picture(), 20
    options = ("--workers", str(workers), "--max-pending-bytes", "1000000000", "--stop-s", "300")
    with (
        served("--artifacts", str(published), *options) as service,
        ThreadPoolExecutor(requests) as clients,
    ):

        def ask() -> int:
            # Reading certificates would take longer than a picture does.
            with httpx.Client(base_url=service.client.base_url, timeout=300, verify=False) as client:
                headers = {"Content-Type": "image/png"}
                return client.post("/predict/digit", content=picture, headers=headers).status_code

        wait_for(lambda: service.log.read_text().count("digit version 1 ready on") == workers)
        answers = [clients.submit(ask) for _ in range(requests)]
        wait_for(lambda: sent(service.client) >= requests)
        assert not all(answer.done() for answer in answers)
        service.client.close()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=300) == 0
        assert [answer.result() for answer in answers] == requests * [200]
        assert "Traceback" not in service.log.read_text()


def unready(client: httpx.Client) -> httpx.Response | None:
    """The answer of a service that is not ready, or None."""
    response = client.get("/health/ready")
    return response if response.status_code != 200 else None


def connections(client: httpx.Client) -> list[str | None]:
    """What answers say of theirs."""
    answers = [
        client.post("/predict/pass", json={"hours": 4}),
        client.post("/predict/pass", json={"hours": "many"}),
        client.get("/models"),
    ]
    assert [answer.status_code for answer in answers] == [200, 422, 200]
    return [answer.headers.get("connection") for answer in answers]


@pytest.mark.parametrize("workers", [1, 2])
def test_it_is_not_ready_at_once_and_answers_until_a_second_signal(published: Path, workers: int) -> None:
    """And keeps no connection meanwhile: what came on one just as it was closed would be lost."""
    options = ("--artifacts", str(published), "--drain-s", "600", "--workers", str(workers))
    with served(*options) as service:
        assert service.client.get("/health/ready").status_code == 200
        assert connections(service.client) == [None, None, None], "the control: it did before"
        service.process.send_signal(signal.SIGTERM)
        response = wait_for(lambda: unready(service.client))
        assert response.status_code == 503
        assert response.json()["errors"] == [{"field": "service", "message": "stopping"}]
        if workers > 1:  # one of them may hear of it later
            wait_for(lambda: connections(service.client) == ["close"] * 3)
        assert connections(service.client) == ["close"] * 3
        service.client.close()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=120) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_the_grace_ends(published: Path, workers: int) -> None:
    """How long that takes is told, not what is answered meanwhile: on a busy machine it may be nothing."""
    options = ("--artifacts", str(published), "--drain-s", "1", "--workers", str(workers))
    with served(*options) as service:
        asked = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=120) == 0
        assert time.monotonic() - asked >= 1


def test_a_second_interrupt_cuts_off_what_is_in_flight(published: Path) -> None:
    """The control: after the first one, the request that has only half come is waited for."""
    with served("--artifacts", str(published), "--stop-s", "600") as service:
        url = service.client.base_url
        with socket.create_connection((url.host, url.port or 80)) as connection:
            connection.sendall(
                b"POST /predict/pass HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 10\r\n\r\n{"
            )
            assert service.client.get("/health/live").status_code == 200
            service.client.close()
            service.process.send_signal(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                service.process.wait(timeout=1)
            service.process.send_signal(signal.SIGINT)
            assert service.process.wait(timeout=120) == 0
            assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize("workers", [1, 2])
def test_signals_that_come_when_all_is_over_change_nothing(
    published: Path, tmp_path: Path, workers: int
) -> None:
    slow, ends = slow_end(tmp_path, 1)
    with served("--artifacts", str(published), "--workers", str(workers), **slow) as service:
        service.process.send_signal(signal.SIGTERM)
        wait_for(ends(service.process.pid).exists)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            service.process.send_signal(number)
        assert service.process.wait(timeout=120) == 0
