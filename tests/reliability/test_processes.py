"""Processes that are stopped and killed: what is in flight is answered, or fails alone."""

import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import (
    Digits,
    both_workers,
    loads,
    metric_sum,
    png,
    sent,
    served,
    wait_for,
    workers_of,
)
from tests.reliability.conftest import white_square
from tests.reliability.load import ask_all, asking

Report = Callable[[str, str, str], None]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "control: SIGKILL"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_with_40_in_flight(
    blockable: Path, figure: Report, workers: int, number: signal.Signals
) -> None:
    """Every picture blocks the device, so that all forty are in flight when the signal comes."""
    requests = 40
    options = ("--workers", str(workers), "--stop-s", "300")
    with served("--artifacts", str(blockable), *options) as service:
        url = f"{service.client.base_url}/predict/digit"
        picture = png(white_square().numpy())

        def ask() -> int:
            try:
                answer = httpx.post(url, files={"file": picture}, timeout=300, verify=False)
                return answer.status_code
            except httpx.HTTPError:
                return 0

        with ThreadPoolExecutor(requests) as pool:
            answers = [pool.submit(ask) for _ in range(requests)]
            wait_for(lambda: sent(service.client) >= requests)
            service.client.close()
            if number == signal.SIGKILL:
                for child in psutil.Process(service.process.pid).children():
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            service.process.send_signal(number)
            code = service.process.wait(timeout=300)
            answered = sum(answer.result() == 200 for answer in answers)
    if number == signal.SIGKILL:
        assert answered < requests
        return
    figure(
        f"SIGTERM with {requests} in flight, {workers} worker(s)",
        f"{requests} answered, exit 0",
        f"{answered} answered, exit {code}",
    )
    assert (answered, code) == (requests, 0)


def wait_for_another_load(log: Path, before: int) -> None:
    wait_for(lambda: loads(log) > before)


def test_a_worker_is_killed_again_and_again(
    published: Path, digits: Digits, long: bool, figure: Report
) -> None:
    kills = 12 if long else 2
    picture, clients = png(digits.images_u8[0]), 8

    def ask(client: httpx.Client, _: int) -> int:
        try:
            return client.post("/predict/digit", files={"file": picture}).status_code
        except httpx.HTTPError:
            return 0

    back_after = []
    with served("--artifacts", str(published), "--workers", "2") as service:
        supervisor = psutil.Process(service.process.pid)
        with asking(service.client.base_url, clients, ask) as stream:
            for _ in range(kills):
                time.sleep(1)
                victim = workers_of(supervisor)[0]
                loaded = loads(service.log)
                victim.kill()
                killed = time.monotonic()
                wait_for_another_load(service.log, loaded)
                back_after.append(time.monotonic() - killed)
                time.sleep(max(0, 5 - back_after[-1]) if long else 0)
            time.sleep(1 if long else 0.3)
    seen = Counter(stream.results())
    figure(
        f"kill -9 of one of two workers, {kills} times",
        f"only what is in flight on it fails (at most {clients} a kill); back in ≤ 10 s",
        f"{seen[0]} of {seen.total():,} failed; back after {max(back_after):.1f} s at the most",
    )
    assert set(seen) <= {0, 200}
    assert seen[0] <= kills * clients
    assert seen[200] > kills * clients
    if long:
        assert max(back_after) <= 10


def test_metrics_against_the_client_s_own_count(
    published: Path, digits: Digits, long: bool, figure: Report
) -> None:
    """The control: without the figures of one worker, the count is too low."""
    clients, requests = 16, 20_000 if long else 1_000
    picture = png(digits.images_u8[0])

    def ask(client: httpx.Client, number: int) -> int:
        if number % 4 == 3:
            return client.post("/predict/pass", json={"hours": "many"}).status_code
        return client.post("/predict/digit", files={"file": picture}).status_code

    with served("--artifacts", str(published), "--workers", "2") as service:
        workers = both_workers(service)
        answers = Counter(ask_all(service.client.base_url, clients, requests, ask))
        # An answer is counted just after it was sent.
        wait_for(lambda: answered(service.client).total() >= answers.total())
        counted = answered(service.client)
        without = []
        for worker in workers:
            figures = Path(worker.environ()["PROMETHEUS_MULTIPROC_DIR"]) / f"counter_{worker.pid}.db"
            aside = figures.rename(figures.with_suffix(".aside"))
            without.append(answered(service.client).total())
            aside.rename(figures)
    figure(
        f"metrics against the client's own count, two workers, {requests:,} requests",
        "equal",
        f"client {dict(answers)}; metrics {dict(counted)}",
    )
    assert answers == {200: requests * 3 // 4, 422: requests // 4}
    assert counted == answers
    assert sum(without) == requests  # each counts its own, and is missed


def answered(client: httpx.Client) -> Counter[int]:
    """Predictions by status, as Prometheus reads them."""
    text = client.get("/metrics").text
    statuses = (200, 422)
    return Counter({s: int(metric_sum(text, *lines_of(s))) for s in statuses})


def lines_of(status: int) -> list[str]:
    routes = ("/predict/digit", "/predict/pass")
    return [f'abacus_requests_total{{method="POST",route="{r}",status="{status}"' for r in routes]
