"""A store of objects on a real server: published into, followed, raced for, gone, and left half written."""

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from service.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, ArtifactError
from service.artifacts.remote.mirror import Mirror
from service.artifacts.remote.objects import LostRace, Objects, StoreUnreachable
from service.artifacts.remote.store import RemoteStore, opened
from service.engine.loading import load
from service.option_types import CACHE_BYTES
from tests.conftest import CPU, Digits, digit_candidate, png, served, wait_for
from tests.reliability.object_server import BUCKET, SCHEMES, ObjectServer, object_server
from tests.reliability.publishers import is_version, partial, publishers
from tests.reliability.remote_publisher import publish_folder, remote
from training.digits.digit_nets import DigitNet, softmax_mlp
from training.publishing.publish import publish

Report = Callable[[str, str, str], None]

# adlfs and gcsfs send an archive in one piece, from a thread that has nothing else to do meanwhile.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


@pytest.fixture(scope="module", params=SCHEMES)
def server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("objects"), request.param) as server:
        yield server


@pytest.fixture
def url(server: ObjectServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    server.use(monkeypatch)
    return f"{server.scheme}://{BUCKET}/{request.node.name.partition('[')[0].replace('_', '-')}"


def test_published_by_training_and_followed(
    url: str, published: Path, tmp_path: Path, digits: Digits, server: ObjectServer, figure: Report
) -> None:
    """By a service of two workers, which the store leaves alone while it does not answer."""
    publisher = opened(url, tmp_path / "publisher", CACHE_BYTES)
    assert isinstance(publisher, RemoteStore)
    images_u8 = torch.from_numpy(digits.images_u8[:10]).unsqueeze(1)
    assert publish(digit_candidate(DigitNet(softmax_mlp()), images_u8), publisher).version == 1
    picture = png(digits.images_u8[0])
    options = ("--artifacts", url, "--artifacts-cache", str(tmp_path / "cache"))
    quick = ("--artifacts-look-s", "0.2", "--reload-s", "0.1", "--workers", "2")
    with served(*options, *quick) as service:

        def answered() -> tuple[int, int]:
            response = service.client.post("/predict/digit", files={"file": picture})
            return response.status_code, response.json().get("version")

        assert answered() == (200, 1)
        began = time.monotonic()
        assert publish_folder(publisher, published / "digit" / "1") == 2
        wait_for(lambda: answered() == (200, 2))
        followed_s = time.monotonic() - began
        publisher.activate("digit", 1)
        wait_for(lambda: {answered() for _ in range(20)} == {(200, 1)})
        server.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(1)
            frozen = [answered() for _ in range(100)]
            ready = service.client.get("/health/ready").status_code
        finally:
            server.process.send_signal(signal.SIGCONT)
    figure(
        f"published into {server.kind}, followed by two workers, rolled back",
        "the same answers as from a folder",
        f"version 2 answers {followed_s:.1f} s after its publication began",
    )
    lost = sum(answer != (200, 1) for answer in frozen)
    figure("the store is frozen under a service", "0 lost", f"{lost} of {len(frozen)} lost; ready: {ready}")
    assert (lost, ready) == (0, 200)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_store_that_is_gone_hurts_nothing(
    scheme: str,
    published: Path,
    tmp_path: Path,
    digits: Digits,
    monkeypatch: pytest.MonkeyPatch,
    long: bool,
    figure: Report,
) -> None:
    if not long:
        pytest.skip("waits for time limits: make test-store")
    picture, url = png(digits.images_u8[0]), f"{scheme}://{BUCKET}/gone"
    (tmp_path / "server").mkdir()
    options = ("--artifacts", url, "--artifacts-cache", str(tmp_path / "cache"), "--reload-s", "0.1")
    with object_server(tmp_path / "server", scheme) as server:
        server.use(monkeypatch)
        publish_folder(remote(url, tmp_path / "publisher"), published / "digit" / "1")
        with served(*options, "--artifacts-look-s", "0.2") as service:
            server.process.kill()
            server.process.wait()
            wait_for(lambda: "cannot be reached" in service.log.read_text())
            statuses = [
                service.client.post("/predict/digit", files={"file": picture}).status_code
                for _ in range(100)
            ]
            statuses.append(service.client.get("/health/ready").status_code)
        with served(*options) as service:
            statuses.append(service.client.post("/predict/digit", files={"file": picture}).status_code)
    lost = sum(status != 200 for status in statuses)
    figure(
        "the store is killed under a service, which is then started anew",
        "0 lost; what was brought before is served",
        f"{lost} of {len(statuses)} lost",
    )
    assert lost == 0
    with pytest.raises(StoreUnreachable, match="cannot be reached"):
        remote(url, tmp_path / "publisher").current("digit")


def test_lost_races_overwrite_nothing(url: str, published: Path, tmp_path: Path, figure: Report) -> None:
    one, other = remote(url, tmp_path / "one"), remote(url, tmp_path / "other")
    source = published / "digit" / "1"
    for _ in range(3):
        publish_folder(one, source, activate=False)
    one.activate("digit", 1)
    assert one.current("digit") == other.current("digit") == 1
    other.activate("digit", 2)
    with pytest.raises(LostRace, match="digit/current was written by another meanwhile"):
        one.activate("digit", 3)
    assert one.current("digit") == 2
    one.activate("digit", 3)  # now that it knows
    assert other.current("digit") == 3

    # Both saw the same versions, and have the same number for the next one.
    staged = tmp_path / "staged"
    shutil.copytree(source, staged)
    (staged / MANIFEST_FILE).write_text(
        (staged / MANIFEST_FILE).read_text().replace("untrained", "another's")
    )
    number = other.next_version("digit")
    assert publish_folder(one, source, activate=False) == number
    with pytest.raises(LostRace, match=f"digit/{number} is another publisher's"):
        other.place(staged, "digit", number)
    assert one.manifest("digit", number).record.recipe == "untrained"

    # A version that somebody copied there, with no publisher's claim.
    objects = Objects(url)
    objects.create("digit/9/model.pt", b"somebody's")
    with pytest.raises(LostRace):
        one.place(staged, "digit", 9)
    assert objects.read("digit/9/model.pt", 100) == b"somebody's"
    figure(
        "lost races: `current`, a version's number, a copied version", "3 said, 0 overwritten", "3 said, 0"
    )


def test_publishers_killed_at_random_moments_of_each_step(
    url: str, published: Path, tmp_path: Path, long: bool, figure: Report
) -> None:
    kills, source = 200 if long else 4, published / "digit" / "1"
    objects, store = Objects(url), remote(url, tmp_path / "publisher")
    mirror = Mirror(objects, tmp_path / "service")
    publish_folder(store, source)
    seen_partial = set[int]()
    with publishers(url, tmp_path / "publisher", source) as publisher:
        steps = len(publisher.durations)
        for step in publisher.killed(kills):
            live, newest = store.current("digit"), store.versions("digit")[-1]
            assert mirror.follow(keep=2) == {}, step
            assert mirror.store.current("digit") == live
            seen_partial |= partial(store, objects, {live, newest}, source)
    versions = store.versions("digit")
    seen_partial |= partial(store, objects, versions, source)
    whole = sum(is_version(store, version) for version in versions)
    number = store.next_version("digit")
    assert publish_folder(store, source) == number  # nothing that was left is in the way
    load(store.folder("digit", number), CPU)
    figure(
        f"publisher killed {kills} times, spread over its {steps} requests, at a random moment of each",
        "0 partial versions",
        f"{len(seen_partial)} partial; {whole} whole, {len(versions) - whole} begun, which nobody takes for"
        " a version",
    )
    assert seen_partial == set()


def test_the_control_of_killed_publishers(url: str, published: Path, tmp_path: Path) -> None:
    """Where the manifest comes first, a version is seen half done."""
    objects, store = Objects(url), remote(url, tmp_path / "publisher")
    source = published / "digit" / "1"
    with publishers(url, tmp_path / "publisher", source, "manifest first") as publisher:
        killed = publisher.killed(len(publisher.durations))
        assert any(partial(store, objects, store.versions("digit"), source) for _ in killed)


def test_the_control_of_partial_versions(url: str, published: Path, tmp_path: Path) -> None:
    """A version whose manifest comes first is seen half done; what is live stays so."""
    store, mirror = remote(url, tmp_path / "publisher"), Mirror(Objects(url), tmp_path / "service")
    publish_folder(store, published / "digit" / "1")
    assert mirror.follow() == {}
    manifest = json.loads((published / "digit" / "1" / MANIFEST_FILE).read_text()) | {
        "version": 2,
        "sha256": 64 * "0",
    }
    Objects(url).create(f"digit/2/{MANIFEST_FILE}", json.dumps(manifest).encode())
    with pytest.raises(ArtifactError, match=f"digit/2 has no {MODEL_FILE}"):
        store.folder("digit", 2)
    store.activate("digit", 2)
    assert mirror.follow() == {"digit/current": f"digit/2 has no {MODEL_FILE}: it is not published whole"}
    assert mirror.store.current("digit") == 1
