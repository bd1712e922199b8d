"""The application on a Ray cluster of two nodes, under load: scaled, killed, published into, rolled out."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import NamedTuple

import httpx
import numpy as np
import pytest

import abacus_client
from service.artifacts.store import ArtifactStore
from tests.conftest import BASELINE, COMMITTED, Digits, png, publish_copy, wait_for
from tests.reliability.cluster import Cluster, cluster, replicas_of
from tests.reliability.load import asking

pytestmark = pytest.mark.skipif(not find_spec("ray"), reason="ray is not installed: make test-ray")

Report = Callable[[str, str, str], None]

CLIENTS = 4
PLAIN, CLIENT = "plain", "abacus_client"
MOST_OF_A_NODE = (
    3  # with room for those that a rollout starts first; a rollout that changes it may find none
)
PAUSE_S = 0.02  # of each client between two requests


class Seen(NamedTuple):
    """One request: whether `lost`, and why; the version that answered."""

    lost: str
    version: int


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ArtifactStore:
    store = ArtifactStore(tmp_path_factory.mktemp("artifacts"))
    shutil.copytree(COMMITTED / "pass", store.root / "pass")
    shutil.copytree(BASELINE, store.folder("digit", 1))
    store.activate("digit", 1)
    return store


@pytest.fixture(scope="module")
def ray() -> Iterator[Cluster]:
    with cluster() as one:
        yield one


class Stage:
    """What half of the clients, plain, and the other half, abacus_client, saw meanwhile."""

    def __init__(self, figure: Report, url: str, picture: bytes) -> None:
        self._figure, self._url, self._picture = figure, url, picture
        self.lost: dict[str, int] = {}
        self.versions: list[int] = []

    @contextmanager
    def __call__(self, what: str, bar: str) -> Iterator[None]:
        began = time.monotonic()
        with abacus_client.Client(self._url, timeout=60) as client:
            client.model("digit")

            def ask(http: httpx.Client, number: int) -> Seen:
                time.sleep(PAUSE_S)
                return plain(http, self._picture) if number % 2 else careful(client, self._picture)

            with asking(self._url, CLIENTS, ask) as stream:
                time.sleep(1)
                yield
                time.sleep(1)
        for number, name in enumerate((CLIENT, PLAIN)):
            seen = [request for client in stream.seen[number::2] for request in client]
            lost = Counter(result.lost for _, _, result in seen if result.lost)
            self.lost[name] = lost.total()
            p99_ms = 1000 * float(np.quantile([seconds for _, seconds, _ in seen], 0.99))
            how = ", ".join(f"{count} × {why}" for why, count in lost.items())
            value = f"{lost.total()} of {len(seen):,} lost{f' ({how})' if how else ''}, p99 {p99_ms:.0f} ms"
            seconds = f"{time.monotonic() - began:.0f} s"
            self._figure(f"Ray, {what}: {name}", bar if name == PLAIN else "0 lost", f"{value}, {seconds}")
        self.versions = [result.version for client in stream.seen for _, _, result in client[-2:]]


def plain(http: httpx.Client, picture: bytes) -> Seen:
    try:
        response = http.post("/predict/digit", files={"file": picture})
    except httpx.HTTPError as error:
        return Seen(type(error).__name__, 0)
    return (
        Seen("", response.json()["version"]) if response.is_success else Seen(f"{response.status_code}", 0)
    )


def careful(client: abacus_client.Client, picture: bytes) -> Seen:
    try:
        return Seen("", client.predict("digit", picture).version)
    except abacus_client.AbacusError as error:
        return Seen(type(error).__name__, 0)


def test_the_application_on_two_nodes(
    ray: Cluster, store: ArtifactStore, digits: Digits, long: bool, figure: Report
) -> None:
    arguments = {"artifacts": str(store.root), "reload_s": "0.2", "drain_s": "0"}
    stage = Stage(figure, ray.url, png(digits.images_u8[0]))
    ray.deploy(arguments, num_replicas=1, max_replicas_per_node=MOST_OF_A_NODE)
    ray.wait_for_replicas(1)
    with stage("nothing happens, 1 replica", "0 lost"):
        time.sleep(5 if long else 1)
    assert stage.lost == {PLAIN: 0, CLIENT: 0}
    if long:
        scale(ray, stage, arguments)
    else:
        ray.deploy(arguments, num_replicas=2, max_replicas_per_node=MOST_OF_A_NODE)
        ray.wait_for_replicas(2)
    kill(ray, stage)
    publish(store, stage, ray)
    if long:
        roll_out(ray, stage, arguments)
        lose_node(ray, stage)


def test_the_control_is_what_serve_says_by_itself(
    store: ArtifactStore, digits: Digits, long: bool, figure: Report
) -> None:
    """Without deploy/ray/haproxy, what it says itself is a 500, which no client may send again."""
    if not long:
        pytest.skip("make test-ray")
    with cluster(RAY_SERVE_HAPROXY_BINARY_PATH="") as control:
        control.deploy({"artifacts": str(store.root)}, num_replicas=2)
        control.wait_for_replicas(2)
        stage = Stage(figure, control.url, png(digits.images_u8[0]))
        kill(control, stage, "control, HAProxy as Serve has it: ")
        for replica in control.replicas():
            replica.kill()
        answer = wait_for(lambda: said(control.url))
    assert answer.status_code == 500
    assert answer.text == "Internal Server Error"


def said(url: str) -> httpx.Response | None:
    """What is said of a request while there is no replica."""
    try:
        response = httpx.get(f"{url}/health/live")
    except httpx.HTTPError:
        return None
    return None if response.is_success else response


def scale(ray: Cluster, stage: Stage, arguments: dict[str, str]) -> None:
    for more in (2, 4):
        if more == 4:
            ray.add_node()
        with stage(f"{more // 2} → {more} replicas", "0 lost"):
            ray.deploy(arguments, num_replicas=more, max_replicas_per_node=MOST_OF_A_NODE)
            ray.wait_for_replicas(more, 120)
        assert stage.lost == {PLAIN: 0, CLIENT: 0}


def kill(ray: Cluster, stage: Stage, where: str = "") -> None:
    """One process, by SIGKILL: what is under way on it is lost, and no more."""
    count = len(ray.up())
    before = ray.replicas()
    with stage(f"{where}1 of {count} replicas killed", f"at most {CLIENTS // 2}, in flight on it"):
        before[0].kill()
        wait_for(lambda: len(set(ray.replicas()) - set(before)) == 1, 90)
        ray.wait_for_replicas(count, 90)
    assert stage.lost[PLAIN] <= CLIENTS // 2
    assert stage.lost[CLIENT] == 0 or where


def publish(store: ArtifactStore, stage: Stage, ray: Cluster) -> None:
    with stage(f"a version published, {len(ray.up())} replicas", "0 lost"):
        version = publish_copy(store)
        time.sleep(3)
    assert stage.lost == {PLAIN: 0, CLIENT: 0}
    assert set(stage.versions) == {version}


def roll_out(ray: Cluster, stage: Stage, arguments: dict[str, str]) -> None:
    """Other arguments, so other replicas: each started before one is stopped."""
    count = len(ray.up())
    before = {process.pid for process in ray.replicas()}
    with stage(f"the application rolled out, {count} replicas", "0 lost"):
        ray.deploy({**arguments, "keep": "2"}, num_replicas=count, max_replicas_per_node=MOST_OF_A_NODE)
        wait_for(lambda: not before & {process.pid for process in ray.replicas()}, 240)
        ray.wait_for_replicas(count, 120)
    assert stage.lost == {PLAIN: 0, CLIENT: 0}


def lose_node(ray: Cluster, stage: Stage) -> None:
    """The one that is not the head, with its replicas, by SIGKILL of all that it runs."""
    node = ray.nodes[-1]
    there, count = len(replicas_of(node)), len(ray.up())
    assert there
    with stage(f"a node with {there} of {count} replicas lost", f"at most {CLIENTS // 2}"):
        ray.end(node)
        ray.wait_for_replicas(min(count, MOST_OF_A_NODE), 120)
    assert stage.lost[PLAIN] <= CLIENTS // 2
    assert stage.lost[CLIENT] == 0
