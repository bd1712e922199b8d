"""Replicas follow the rows that wait: more of them under load, one again when it is over."""

import time
from collections.abc import Callable
from importlib.util import find_spec

import httpx
import pytest

from tests.conftest import COMMITTED
from tests.reliability.cluster import cluster
from tests.reliability.load import asking

pytestmark = pytest.mark.skipif(not find_spec("ray"), reason="ray is not installed: make test-ray")

Report = Callable[[str, str, str], None]

MOST, CLIENTS = 4, 8
ROWS = {"hours": [float(hour % 24) for hour in range(10_000)]}  # a full batch
SCALING = {
    "min_replicas": 1,
    "max_replicas": MOST,
    "upscale_delay_s": 1,
    "downscale_delay_s": 2,
    "look_back_period_s": 3,
    "metrics_interval_s": 0.5,
    "policy": {"policy_function": "deploy.ray.autoscaling:ByQueue", "policy_kwargs": {"batches": 1.0}},
}


def test_replicas_follow_the_queue(long: bool, figure: Report) -> None:
    if not long:
        pytest.skip("make test-ray")

    def ask(client: httpx.Client, _: int) -> int:
        return client.post("/predict/pass", json=ROWS).status_code

    with cluster() as ray:
        arguments = {"artifacts": str(COMMITTED), "models": "pass"}
        ray.deploy(arguments, autoscaling_config=SCALING, max_replicas_per_node=MOST)
        ray.wait_for_replicas(1)
        time.sleep(5)
        assert len(ray.up()) == 1
        began = time.monotonic()
        with asking(ray.url, CLIENTS, ask) as stream:
            ray.wait_for_replicas(MOST, 150)
            grown = time.monotonic()
        ray.wait_for_replicas(1, 150)
        shrunk = time.monotonic()
    lost = sum(status != 200 for status in stream.results())
    asked = f"{CLIENTS} clients that ask for 10,000 hours"
    figure(
        f"Ray, 1 → {MOST} replicas by their queue, {asked}", "0 lost", f"{lost} lost, {grown - began:.0f} s"
    )
    figure(f"Ray, {MOST} → 1 replicas by their queue", "", f"{shrunk - grown:.0f} s")
    assert lost == 0
