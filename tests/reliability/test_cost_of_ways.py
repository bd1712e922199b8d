"""What a million predictions cost in processor seconds, by each way of docs/scale.md: `make test-costs`.

Of processor time, not of the clock: others may be busy on the machine. Each way answers in turn, and its
cost is that of all its processes, their balancer's too; what asks is not counted.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
import pytest

from benchmarks.load import run_wrk
from benchmarks.process import cpu_seconds
from benchmarks.scenarios import MULTIPART, form
from tests.conftest import COMMITTED, Digits, free_ports, png, served
from tests.reliability.balanced import haproxy, is_installed, start
from tests.reliability.cluster import cluster

pytestmark = pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")

Report = Callable[[str, str, str], None]

CONNECTIONS, ROUNDS, ROUND_S = 16, 5, 3
PICTURES, NUMBERS = 64, 1000  # of a request that has many


class Way(NamedTuple):
    """Where it is asked, and the first processes of all that answer."""

    url: str
    roots: Sequence[psutil.Process]

    def spent_s(self) -> float:
        total = 0.0
        for root in self.roots:
            for process in (root, *root.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    total += cpu_seconds([process])
        return total


class Request(NamedTuple):
    path: str
    content_type: str
    body: bytes
    predictions: int


def test_a_million_predictions(tmp_path: Path, digits: Digits, long: bool, figure: Report) -> None:
    if not long:
        pytest.skip("make test-costs")
    asked = requests(digits)
    with ExitStack() as stack:
        ways = started(stack, tmp_path)
        for number, (what, request) in enumerate(asked.items()):
            file = tmp_path / f"{number}"
            file.write_bytes(request.body)
            rounds: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(1 + ROUNDS):  # the first warms up
                for name, way in ways.items():
                    rounds[name].append(seconds_for_a_million(way, request, file))
            for name, seen in rounds.items():
                figure(f"a million predictions, {what}: {name}", "", _written(seen[1:]))


def started(stack: ExitStack, folder: Path) -> dict[str, Way]:
    """Each of those for which there is what it needs."""
    options, ways = ("--artifacts", str(COMMITTED)), {}
    one = {"OMP_NUM_THREADS": "1"}
    for name, further in (("one process", ()), ("two workers", ("--workers", "2"))):
        service = stack.enter_context(served(*options, *further, **one))
        ways[name] = Way(str(service.client.base_url).rstrip("/"), [psutil.Process(service.process.pid)])
    if is_installed(haproxy):
        for count in (2, 4):
            ports = free_ports(count)
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv("OMP_NUM_THREADS", "1")
                services = start(stack, ports, *options)
            balancer_folder = folder / f"haproxy-{count}"
            balancer_folder.mkdir()
            known = set(psutil.Process().children())
            balancer = stack.enter_context(haproxy(ports, balancer_folder))
            (process,) = set(psutil.Process().children()) - known
            roots = [process, *(psutil.Process(service.process.pid) for service in services)]
            url = str(balancer.client.base_url).rstrip("/")
            ways[f"HAProxy before {count} processes"] = Way(url, roots)
    if find_spec("ray"):
        ray = stack.enter_context(cluster())
        ray.deploy({"artifacts": str(COMMITTED)}, num_replicas=2, max_replicas_per_node=2)
        ray.wait_for_replicas(2)
        replicas = ray.replicas()
        ways["Ray Serve, two replicas"] = Way(ray.url, [*replicas, ray.haproxy()])
        ways["Ray Serve, two replicas, with all of Ray's node"] = Way(ray.url, ray.nodes)
    return ways


def requests(digits: Digits) -> dict[str, Request]:
    pictures = [png(image_u8) for image_u8 in digits.images_u8[:PICTURES]]
    hours = ",".join(f"{number % 10}.5" for number in range(NUMBERS))
    return {
        "a picture a request": Request("/predict/digit", "image/png", pictures[0], 1),
        f"{PICTURES} pictures a request": Request("/predict/digit", MULTIPART, form(pictures), PICTURES),
        "a number a request": Request("/predict/pass", "application/json", b'{"hours": 4.0}', 1),
        f"{NUMBERS:,} numbers a request": Request(
            "/predict/pass", "application/json", f'{{"hours": [{hours}]}}'.encode(), NUMBERS
        ),
    }


def seconds_for_a_million(way: Way, request: Request, body: Path) -> float:
    before = way.spent_s()
    load = run_wrk(
        way.url + request.path, body, {"Content-Type": request.content_type}, CONNECTIONS, ROUND_S
    )
    assert not load.errors
    return 1e6 * (way.spent_s() - before) / (load.requests * request.predictions)


def _written(seen: Sequence[float]) -> str:
    return f"{median(seen):,.1f} processor s ({min(seen):,.1f} to {max(seen):,.1f})"
