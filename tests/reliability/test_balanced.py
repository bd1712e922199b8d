"""Several services behind a load balancer, under load: one is published into, one stopped, one killed."""

import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.artifacts.store import ArtifactStore
from tests.conftest import (
    BASELINE,
    COMMITTED,
    Digits,
    Served,
    free_ports,
    metric_sum,
    png,
    publish_copy,
    wait_for,
)
from tests.reliability.balanced import (
    Balancer,
    Balancing,
    haproxy,
    is_installed,
    nginx,
    start,
    watched,
)
from tests.reliability.load import Stream, asking

Report = Callable[[str, str, str], None]

CLIENTS = 4
BLANKS = b" " * 8192  # in less than 5 s: slower bodies are refused


class Held:
    """A request whose body comes slowly, so that it is under way for as long as is wanted."""

    LENGTH = 390_000

    def __init__(self, client: httpx.Client) -> None:
        url = client.base_url
        self._socket = socket.create_connection((url.host, url.port or 80), timeout=60)
        self._left = self.LENGTH
        head = (
            "POST /predict/pass HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"X-Request-ID: held\r\nConnection: close\r\nContent-Length: {self.LENGTH}\r\n\r\n"
        )
        self._socket.sendall(head.encode())
        self._send(b'{"hours": 4')

    def until(self, condition: Callable[[], object]) -> None:
        """Asked a while after the first bytes: before these reach a service, it is under way on none."""
        for look in count():
            if look % 4 == 0:  # of so many there are 47
                self._send(BLANKS)
            time.sleep(0.4)
            if condition():
                return

    def finish(self) -> None:
        self._send(b" " * (self._left - 1) + b"}")

    def answer(self) -> str:
        with self._socket, self._socket.makefile("rb") as file:
            return file.read().decode()

    def _send(self, data: bytes) -> None:
        assert len(data) < self._left or data.endswith(b"}")
        self._left -= len(data)
        self._socket.sendall(data)


class Fleet:
    """Services on ports of their own, and one port more, on which a successor may start."""

    def __init__(self, stack: ExitStack, store: ArtifactStore, count: int) -> None:
        self.stack, self.store = stack, store
        *ports, self.spare = free_ports(count + 1)
        self.ports = [*ports, self.spare]
        self.services = dict(zip(ports, self._start(ports), strict=True))

    def _start(self, ports: list[int]) -> list[Served]:
        options = ("--artifacts", str(self.store.root), "--reload-s", "0.2", "--drain-s", "3")
        return start(self.stack, ports, *options)

    def publish(self) -> int:
        version = publish_copy(self.store)
        wait_for(lambda: self._live() == {version})
        return version

    def _live(self) -> set[int]:
        return {service.client.get("/models/digit").json()["version"] for service in self.services.values()}

    def stop(self, port: int) -> Served:
        service = self.services.pop(port)
        service.client.close()
        service.process.send_signal(signal.SIGTERM)
        return service

    def replace(self, port: int) -> None:
        """Start before stop."""
        (successor,) = self._start([self.spare])
        wait_for(lambda: metric_sum(successor.client.get("/metrics").text, "abacus_predictions_total"))
        assert self.stop(port).process.wait(timeout=120) == 0
        self.services[self.spare], self.spare = successor, port

    def kill(self, port: int) -> None:
        service = self.services.pop(port)
        service.client.close()
        service.process.kill()
        service.process.wait(timeout=120)


def port_of(held: Held, balancer: Balancer, ports: list[int]) -> int:
    """The service that has it: all others are now and then without a request."""
    candidates = set(ports)

    def is_one() -> bool:
        candidates.intersection_update(
            [port for port in ports if watched(balancer, "current_sessions", port)]
        )
        return len(candidates) == 1

    held.until(is_one)
    return candidates.pop()


def installed(balancing: Balancing) -> Any:
    reason = f"{balancing.__name__} is not installed"
    return pytest.param(balancing, marks=pytest.mark.skipif(not is_installed(balancing), reason=reason))


@pytest.mark.parametrize("balancing", [installed(haproxy), installed(nginx)])
def test_services_behind_a_load_balancer(
    balancing: Balancing, tmp_path: Path, digits: Digits, long: bool, figure: Report
) -> None:
    if balancing is nginx and is_installed(haproxy) and not long:
        pytest.skip("behind HAProxy it is tested: make test-rollout")
    services, rest_s = (4, 5) if long else (3, 0.5)
    store = ArtifactStore(tmp_path / "artifacts")
    shutil.copytree(COMMITTED / "pass", store.root / "pass")
    shutil.copytree(BASELINE, store.folder("digit", 1))
    store.activate("digit", 1)
    picture = png(digits.images_u8[0])
    marks: list[tuple[str, float]] = []

    def ask(client: httpx.Client, _: int) -> tuple[int, int]:
        time.sleep(0.005)
        try:
            response = client.post("/predict/digit", files={"file": picture})
            return response.status_code, response.json()["version"] if response.is_success else 0
        except httpx.HTTPError:
            return 0, 0

    def begin(stage: str) -> None:
        time.sleep(rest_s)
        marks.append((stage, time.monotonic()))

    with ExitStack() as stack:
        fleet = Fleet(stack, store, services)
        balancer = stack.enter_context(balancing(fleet.ports, tmp_path))
        with asking(balancer.client.base_url, CLIENTS, ask) as stream:
            begin("a version is published")
            version = fleet.publish()
            published_at = time.monotonic()
            begin("one is stopped by SIGTERM")
            drain(fleet, balancer)
            begin("one is killed")
            killing, killed = kill(fleet, balancer)
            for number, port in enumerate([*fleet.services] if long else []):
                begin(f"one is replaced, {number + 1} of {services - 2}")
                fleet.replace(port)
            begin("")
        for service in fleet.services.values():
            service.process.send_signal(signal.SIGINT)
    report(figure, balancing.__name__, stream, marks)
    lost = [request for client in stream.seen for request in client if request[2][0] != 200]
    assert [sent for sent in lost if not (sent[0] <= killed and killing <= sent[0] + sent[1])] == []
    assert len(lost) <= CLIENTS
    later = {seen for client in stream.seen for began, _, (_, seen) in client if began > published_at}
    assert later - {0} == {version}


def drain(fleet: Fleet, balancer: Balancer) -> None:
    """What is under way on it is answered."""
    held = Held(balancer.client) if balancer.watched else None
    port = port_of(held, balancer, [*fleet.services]) if held else next(iter(fleet.services))
    stopped = fleet.stop(port)
    if held:
        held.until(lambda: not watched(balancer, "status", port, state="UP"))
        held.finish()
        assert held.answer().startswith("HTTP/1.1 200 OK")
    assert stopped.process.wait(timeout=120) == 0


def kill(fleet: Fleet, balancer: Balancer) -> tuple[float, float]:
    """The control: what is under way on it is lost, and is sent to no other. From when to when it ended."""
    held = Held(balancer.client) if balancer.watched else None
    port = port_of(held, balancer, [*fleet.services]) if held else next(iter(fleet.services))
    killing = time.monotonic()
    fleet.kill(port)
    killed = time.monotonic()
    if held:
        answer = held.answer()
        if answer:  # HAProxy 2.6 just closes where it was sending the body when the service ended
            assert answer.startswith("HTTP/1.1 502 Bad Gateway")
            assert "application/problem+json" in answer
            assert '"request_id":"held"' in answer
    return killing, killed


def report(figure: Report, name: str, stream: Stream, marks: list[tuple[str, float]]) -> None:
    for (stage, began), (_, ended) in pairwise(marks):
        # By their ends: what was under way on a service that is killed was begun in the stage before.
        within = [r[0] for client in stream.seen for start, s, r in client if began <= start + s < ended]
        lost = Counter(status for status in within if status != 200)
        bar = f"at most {CLIENTS} lost, in flight on it" if "killed" in stage else "0 lost"
        seen = f"{lost.total()} of {len(within):,} lost in {ended - began:.0f} s"
        figure(f"{name}, {CLIENTS} clients: {stage}", bar, seen)
