"""What Ray Serve costs: one replica behind its HAProxy, the service alone, and a constant as the limit."""

import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
import pytest

from benchmarks.load import run_wrk
from benchmarks.process import cpu_seconds
from service.artifacts.store import ArtifactStore
from tests.conftest import BASELINE, COMMITTED, Digits, png, served
from tests.reliability.cluster import cluster

pytestmark = [
    pytest.mark.skipif(not find_spec("ray"), reason="ray is not installed: make test-ray"),
    pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed"),
]

Report = Callable[[str, str, str], None]

BAR = 0.6  # of the requests a second of the service alone
CONNECTIONS = 8
ALONE, REPLICA, TRIVIAL = "the service alone", "one replica", "a constant through the same ingress"


class Asked(NamedTuple):
    """Where, and the processes that answer."""

    url: str
    processes: Sequence[psutil.Process]


class Round(NamedTuple):
    per_second: float
    cpu_ms: tuple[float, ...]  # a request, of each process

    @property
    def total_ms(self) -> float:
        return sum(self.cpu_ms)


def test_one_replica_behind_the_ingress(tmp_path: Path, digits: Digits, long: bool, figure: Report) -> None:
    if not long:
        pytest.skip("make test-ray")
    store = ArtifactStore(tmp_path / "artifacts")
    shutil.copytree(COMMITTED / "pass", store.root / "pass")
    shutil.copytree(BASELINE, store.folder("digit", 1))
    store.activate("digit", 1)
    bodies = {"/predict/digit": png(digits.images_u8[0]), "/predict/pass": b'{"hours": 4.0}'}
    types = {"/predict/digit": "image/png", "/predict/pass": "application/json"}
    for path, body in bodies.items():
        (tmp_path / path[1:].replace("/", "-")).write_bytes(body)
    with served("--artifacts", str(store.root), OMP_NUM_THREADS="1") as service, cluster() as ray:
        ray.deploy({"artifacts": str(store.root)}, trivial=True, num_replicas=1)
        ray.wait_for_replicas(2)
        haproxy = ray.haproxy()
        (replica,) = [p for p in ray.replicas() if "Abacus" in " ".join(p.cmdline())]
        (trivial,) = [p for p in ray.replicas() if "Trivial" in " ".join(p.cmdline())]
        asked = {
            ALONE: Asked(str(service.client.base_url).rstrip("/"), [psutil.Process(service.process.pid)]),
            REPLICA: Asked(ray.url, [replica, haproxy]),
            TRIVIAL: Asked(f"{ray.url}/trivial", [trivial, haproxy]),
        }
        for path in bodies:
            file, fields = tmp_path / path[1:].replace("/", "-"), {"Content-Type": types[path]}
            rounds: dict[str, list[Round]] = {name: [] for name in asked}
            for _ in range(6):  # in turn; the first warms up
                for name, one in asked.items():
                    rounds[name].append(_round(one, path, file, fields))
            report(figure, path, {name: seen[1:] for name, seen in rounds.items()})


def _round(asked: Asked, path: str, body: Path, fields: dict[str, str]) -> Round:
    before = [cpu_seconds([process]) for process in asked.processes]
    load = run_wrk(asked.url + path, body, fields, CONNECTIONS, 3)
    assert not load.errors
    spent = [cpu_seconds([p]) - s for p, s in zip(asked.processes, before, strict=True)]
    return Round(load.per_second, tuple(1000 * s / load.requests for s in spent))


def report(figure: Report, path: str, rounds: dict[str, list[Round]]) -> None:
    alone = median(r.per_second for r in rounds[ALONE])
    for name, seen in rounds.items():
        per_second = median(r.per_second for r in seen)
        parts = " + ".join(f"{median(ms):.2f}" for ms in zip(*(r.cpu_ms for r in seen), strict=True))
        share = f"{per_second:,.0f}/s, {per_second / alone:.2f} of the service alone"
        bar = f"{BAR} of the service alone" if name == REPLICA else ""
        figure(f"Ray, {path}: {name}", bar, f"{share}; processor {parts} ms a request")
