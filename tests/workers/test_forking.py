"""Workers that are copies of one process: what they share and what not, and who takes whose place."""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import torch
from torch import Tensor, nn

from service.artifacts.listing import Listing, listed
from service.artifacts.look import Look
from service.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, ArtifactError
from service.artifacts.pointers import CURRENT_FILE
from service.artifacts.store import ArtifactStore
from service.engine.loading import load
from service.engine.ways import torchscript_accepted
from service.settings import KeyContents, Settings
from service.workers import preloading
from service.workers.forking import Forking
from tests.conftest import (
    BASELINE,
    COMMITTED,
    CPU,
    ROOT,
    Digits,
    Served,
    png,
    publish_copy,
    served,
    wait_for,
    workers_of,
)
from tests.workers.supervised import ends_when_ready

MB = 2**20
READY = "is ready after"

# What an agent that watches over programs may do, in a file that Python imports at its start.
THREAD = "import threading, time; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"


def supervisor(service: Served) -> psutil.Process:
    return psutil.Process(service.process.pid)


def nursery(service: Served) -> psutil.Process:
    return next(child for child in supervisor(service).children() if child.name() == "abacus-nursery")


def is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def says(service: Served, what: str, times: int = 1) -> bool:
    return service.log.read_text().count(what) >= times


def probabilities(service: Served, content: bytes) -> list[float]:
    """By a connection of its own: the system gives it to any of the workers."""
    answer = httpx.post(f"{service.client.base_url}/predict/digit", files={"file": content}, timeout=60)
    assert answer.status_code == 200
    return list(answer.json()["probabilities"])


@pytest.fixture(scope="module")
def store(published: Path, tmp_path_factory: pytest.TempPathFactory) -> ArtifactStore:
    return ArtifactStore(Path(shutil.copytree(published, tmp_path_factory.mktemp("forking") / "artifacts")))


@pytest.fixture(scope="module")
def service(store: ArtifactStore) -> Iterator[Served]:
    options = ("--workers", "2", "--start-method", "fork")
    with served("--artifacts", str(store.root), *options) as service:
        wait_for(lambda: says(service, READY, 2))
        yield service


def test_what_is_loaded_is_there_once(service: Served) -> None:
    """A worker that is none of a nursery has ten times as much for itself."""
    found = [worker.memory_full_info() for worker in workers_of(supervisor(service))]
    assert len(found) == 2
    assert all(memory.uss < 120 * MB for memory in found), [memory.uss // MB for memory in found]
    assert all(memory.rss > 250 * MB for memory in found)


def test_no_two_throw_the_same_dice(service: Served) -> None:
    """Ids of requests are such: copies that went on from one state would give the same."""
    url = f"{service.client.base_url}/health/live"
    ids = [httpx.get(url, timeout=60).headers["X-Request-ID"] for _ in range(60)]
    assert len(set(ids)) == 60


def test_a_dead_worker_s_place_is_taken_by_a_copy_and_nothing_of_it_is_left(
    service: Served, digits: Digits
) -> None:
    """What it had started becomes the supervisor's, too: with its end it is to be gone."""
    victim = workers_of(supervisor(service))[0]
    orphans = victim.children()
    before = service.log.read_text().count(READY)
    victim.kill()
    wait_for(lambda: says(service, READY, before + 1))
    assert says(service, f"worker {victim.pid} was ended by SIGKILL")
    wait_for(lambda: not any(orphan.is_running() for orphan in orphans))
    wait_for(lambda: not any(map(is_zombie, supervisor(service).children())))
    assert len(workers_of(supervisor(service))) == 2
    for _ in range(6):
        probabilities(service, png(digits.images_u8[0]))


def test_workers_outlive_the_nursery_and_there_is_another(service: Served, digits: Digits) -> None:
    first, workers = nursery(service), workers_of(supervisor(service))
    ready = service.log.read_text().count("workers are copies of one process")
    first.kill()
    wait_for(lambda: says(service, "workers are copies of one process", ready + 1))
    assert workers_of(supervisor(service)) == workers
    before = service.log.read_text().count(READY)
    workers[0].kill()
    wait_for(lambda: says(service, READY, before + 1))
    probabilities(service, png(digits.images_u8[0]))


def test_what_was_published_since_is_served_by_all_and_by_those_that_come(
    service: Served, store: ArtifactStore
) -> None:
    version = publish_copy(store)
    ready = f"model digit version {version} ready"
    wait_for(lambda: says(service, ready, 2))
    workers_of(supervisor(service))[0].kill()
    wait_for(lambda: says(service, ready, 3))
    ready_before = service.log.read_text().count(READY)
    outdated = workers_of(supervisor(service))
    service.process.send_signal(signal.SIGHUP)  # they share it from now on
    wait_for(lambda: says(service, READY, ready_before + 2))
    wait_for(lambda: not any(worker.is_running() for worker in outdated))
    url = f"{service.client.base_url}/models/digit"
    assert {httpx.get(url, timeout=60).json()["version"] for _ in range(9)} == {version}


def test_what_has_threads_has_them_in_each_worker(
    published: Path, digits: Digits, capfd: pytest.CaptureFixture[str]
) -> None:
    """Those that compute, without which a copy of a process that had them waits for ever; and of traces."""
    predictor = load(ArtifactStore(published).folder("digit", 1), CPU)
    options = ("--workers", "2", "--threads", "2", "--traces", "console")
    with served("--artifacts", str(published), *options) as service:
        wait_for(lambda: says(service, READY, 2))
        for image_u8 in digits.images_u8[:8]:
            expected = predictor.predict(torch.from_numpy(image_u8)[None, None])[0, :10]
            assert torch.allclose(torch.tensor(probabilities(service, png(image_u8))), expected, atol=1e-5)
        assert nursery(service).num_threads() == 1
        assert says(service, "2 thread(s)", 2)
    traces = set(re.findall(r'"trace_id": "(\w+)"', capfd.readouterr().out))
    assert len(traces) >= 8  # the last of them as the workers end


CHOOSE = """
import os, pathlib, torch
from service.engine import quickest
from service.engine.loading import prepared, read
from service.workers.preloading import chosen_on

quickest.LONG_S = 60  # threads that wait for a processor spin: that is time, too
torch.set_num_threads(1)
rest = prepared(read(pathlib.Path({folder!r})), torch.device("cpu"))
print(len(chosen_on(2, rest).ways), len(os.listdir("/proc/self/task")), torch.get_num_threads())
"""


def test_the_quickest_way_on_several_threads_is_found_by_a_copy() -> None:
    """What workers go by that compute on two; whoever they are copies of has one, before and after."""
    code, environment = CHOOSE.format(folder=str(BASELINE)), {"OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.stdout.split() == ["65", "1", "1"], done.stderr


class Endless(nn.Module):
    """Never answers."""

    def forward(self, images: Tensor) -> Tensor:
        count = images.size(0)
        while count > 0:
            count += 1
        return images.to(torch.float32)


def endless(folder: Path) -> None:
    with torchscript_accepted():
        torch.jit.script(Endless()).save(str(folder / MODEL_FILE))
    archive = (folder / MODEL_FILE).read_bytes()
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest |= {"sha256": hashlib.sha256(archive).hexdigest(), "size_bytes": len(archive)}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))


def test_a_model_that_is_never_ready_keeps_no_other_from_being_served(tmp_path: Path) -> None:
    for folder, name in ((BASELINE, "digit"), (COMMITTED / "pass" / "1", "pass")):
        shutil.copytree(folder, tmp_path / name / "1")
        (tmp_path / name / CURRENT_FILE).write_text("1\n")
    endless(tmp_path / "digit" / "1")
    with served("--artifacts", str(tmp_path), "--workers", "2", "--load-timeout-s", "6") as service:
        assert says(service, "was not ready for")
        assert says(service, "while it loaded digit/1")
        assert service.client.post("/predict/pass", json={"hours": 4}).status_code == 200
        refused = service.client.get("/models/digit").json()["refused"]
        assert "was not ready within 6 s" in json.dumps(refused)
        nursery(service)


@pytest.fixture
def forking(tmp_path: Path) -> Iterator[Forking]:
    forking = Forking(Settings(), [], tmp_path, lambda: KeyContents(None, None), None)
    yield forking
    forking.end()


@pytest.mark.parametrize("descriptors_left", [True, False])
def test_a_nursery_that_ends_once_it_is_ready_is_a_start_that_failed(
    forking: Forking, monkeypatch: pytest.MonkeyPatch, descriptors_left: bool
) -> None:
    """Else there would be the next one at once, for ever."""

    def refused(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("service.workers.forking.nurse", ends_when_ready)
    if not descriptors_left:
        monkeypatch.setattr(os, "pidfd_open", refused)
    with pytest.raises(OSError, match="the process that workers are copies of ended with exit code"):
        wait_for(lambda: forking.look(0))
    assert not forking.awaited
    assert not forking.is_ready


def test_what_may_never_return_is_said_before_it_is_begun(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that does not answer holds up the nursery for as long as a model may, and no longer."""
    events: list[str] = []
    settings = Settings(artifacts=store.root, threads=1, models=("pass",))

    def looked(_store: ArtifactStore, name: str, _keep: int) -> Look:
        events.append(f"looks at {name}")
        return Look(ArtifactError("nothing is live"), (), (), ())

    def listed_then(of: ArtifactStore) -> Listing:
        events.append("lists")
        return listed(of)

    monkeypatch.setattr(preloading, "listed", listed_then)
    monkeypatch.setattr(ArtifactStore, "look", looked)
    preloading.preload(settings, KeyContents(None, None), tmp_path, events.append)
    assert events == ["the store", "lists", "pass", "looks at pass"]


def test_where_threads_run_already_nothing_is_copied(published: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(THREAD)
    options, environment = ("--artifacts", str(published), "--workers", "2"), {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "service", "--port", "0", *options, "--start-method", "fork"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 3
    assert "--start-method fork: 2 threads run in the process that is to be copied" in done.stderr
    assert "Traceback" not in done.stderr
    with served(*options, **environment) as service:  # by default another way is taken
        assert says(service, "each worker loads its own models")
        assert service.client.post("/predict/pass", json={"hours": 4}).status_code == 200


def test_a_gpu_and_copies_exclude_each_other() -> None:
    command = [sys.executable, "-m", "service", "--workers", "2", "--device", "cuda"]
    done = subprocess.run(
        [*command, "--start-method", "fork"], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 2
    assert "exclude each other" in done.stderr
    assert "Traceback" not in done.stderr
