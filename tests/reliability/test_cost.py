"""What one request may cost the others. Every row has a control: the same service with a planted fault."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from service.errors import SHOWN_ERRORS
from tests.conftest import Digits, Served, png, served
from tests.reliability.heartbeat import PLANTED

Report = Callable[[str, str, str], None]

HEART = "tests.reliability.heartbeat"
MOST_BYTES = 1024 * 1024
OPTIONS = ("--max-body-bytes", str(2 * MOST_BYTES), "--max-pending-bytes", str(32 * MOST_BYTES))
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def service(published: Path) -> Iterator[Served]:
    with served("--artifacts", str(published), *OPTIONS, module=HEART) as running:
        yield running


@pytest.fixture(scope="module")
def faulty(published: Path) -> Iterator[Served]:
    faults = "every_error,announced,in_turn"
    with served("--artifacts", str(published), *OPTIONS, module=HEART, **{PLANTED: faults}) as running:
        yield running


def longest_s(
    service: Served, ask: Callable[[httpx.Client], httpx.Response]
) -> tuple[float, httpx.Response]:
    """For how long the event loop was busy at a time, at the least of three times; and the answer."""
    longest = []
    for _ in range(3):
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
        assert response.json() == control.json()
        assert busy_s < control_s / 3
