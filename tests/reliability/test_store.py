"""What lies in the store, or does not answer there: it stops neither the service nor its stopping."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
import torch
from torch import Tensor, nn

from service.artifacts.manifest import MANIFEST_FILE, MODEL_FILE
from service.artifacts.pointers import CURRENT_FILE
from service.artifacts.store import ArtifactStore
from service.serving.watchdog import EXIT_CODE
from tests.conftest import Digits, digit_candidate, png, served, wait_for
from tests.reliability.conftest import white_square
from training.digits.digit_nets import DigitNet, softmax_mlp
from training.publishing.publish import publish

Report = Callable[[str, str, str], None]

REFUSED_WITHIN_S = 60
SECRET = "8f14e45fceea167a"


@pytest.fixture
def store(published: Path, tmp_path: Path) -> ArtifactStore:
    shutil.copytree(published, tmp_path / "artifacts")
    return ArtifactStore(tmp_path / "artifacts")


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink(missing_ok=True)
    try:
        os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        path.symlink_to("/dev/zero")


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**30)


def link(path: Path) -> None:
    path.unlink(missing_ok=True)
    secret = next(folder for folder in path.parents if folder.name == "artifacts").with_name("secret")
    secret.write_text(SECRET)
    path.symlink_to(secret)


def loop(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)


SPOILS: list[Callable[[Path], None]] = [fifo, device, sparse, link, loop]
PARTS = [MANIFEST_FILE, MODEL_FILE]


def test_whatever_lies_in_the_store(store: ArtifactStore, digits: Digits, figure: Report) -> None:
    """The control: what is sound is taken up the same way, and the other model all the while."""
    refused: list[str] = []
    peak = 0

    def info(client: httpx.Client, name: str = "digit") -> dict[str, object]:
        response = client.get(f"/models/{name}")
        assert response.status_code == 200, response.text
        answer: dict[str, object] = response.json()
        return answer

    def why(client: httpx.Client, part: str) -> bool:
        return part in str(info(client)["refused"])

    with served("--artifacts", str(store.root), "--reload-s", "0.1") as service:
        client, process = service.client, psutil.Process(service.process.pid)
        before = process.memory_info().rss
        version = 1
        for part in PARTS:
            for spoil in SPOILS:
                version += 1
                shutil.copytree(store.folder("digit", 1), store.folder("digit", version))
                spoil(store.folder("digit", version) / part)
                store.activate("digit", version)
                named = f"digit/{version}/{part}"
                wait_for(partial(why, client, named), REFUSED_WITHIN_S)
                refused.append(named)
                peak = max(peak, process.memory_info().rss)
        for spoil in SPOILS:
            spoil(store.root / "digit" / CURRENT_FILE)
            wait_for(lambda: "digit/current" in str(info(client)["refused"]), REFUSED_WITHIN_S)
            refused.append(f"current: {spoil.__name__}")
            assert SECRET not in client.get("/models").text
            (store.root / "digit" / CURRENT_FILE).unlink()
            store.activate("digit", 1)
            wait_for(lambda: info(client)["refused"] is None, REFUSED_WITHIN_S)
        (store.root / "digit").rename(store.root / "away")
        loop(store.root / "digit")
        wait_for(lambda: "link" in str(info(client)["refused"]), REFUSED_WITHIN_S)
        (store.root / "pass" / CURRENT_FILE).write_text("1")
        wait_for(lambda: service.log.read_text().count("model pass version 1 ready") == 2, REFUSED_WITHIN_S)
        answer = client.post("/predict/digit", files={"file": png(digits.images_u8[0])})
        assert answer.json()["version"] == 1
        grown = (peak - before) / 2**20
        fifo(store.folder("pass", 1) / MANIFEST_FILE)
        (store.root / "pass" / CURRENT_FILE).write_text("1\n")
        wait_for(lambda: "FIFO" in str(info(client, "pass")["refused"]), REFUSED_WITHIN_S)
        client.close()
        service.process.send_signal(signal.SIGTERM)
        code = service.process.wait(timeout=120)
    figure(
        "FIFO, device, 1 GiB of nothing, links, loops of links in the store",
        "each refused with its reason, the old version answers, memory grows < 256 MiB, SIGTERM ends it",
        f"{len(refused)} refused, {grown:.0f} MiB, exit {code}",
    )
    assert code == 0
    assert grown < 256


class Looping(nn.Module):
    """A net that never returns from a picture that is mostly white. `rounds`: what it computes besides."""

    ballast: Tensor

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.net = DigitNet(softmax_mlp())
        self.rounds = rounds
        self.register_buffer("ballast", torch.eye(512))

    def forward(self, images: Tensor) -> Tensor:
        level = float(images.to(torch.float32).mean((1, 2, 3)).max())
        ballast = self.ballast
        for _ in range(self.rounds):
            ballast = torch.mm(ballast, self.ballast)
        while level > 110:
            ballast = ballast * 1.0
        answer: Tensor = self.net(images)
        return answer * ballast[0, 0]


@pytest.mark.parametrize(("rounds", "workers"), [(0, 1), (3, 2)], ids=["on the loop", "on a thread"])
def test_a_model_that_never_returns(
    store: ArtifactStore, digits: Digits, figure: Report, rounds: int, workers: int
) -> None:
    """The control: a picture that it does return from harms nothing."""
    torch.manual_seed(0)
    images_u8 = torch.from_numpy(digits.images_u8[:10]).unsqueeze(1)
    publish(digit_candidate(Looping(rounds), images_u8), store)
    options = ("--batch-timeout-s", "3", "--workers", str(workers))
    with served("--artifacts", str(store.root), *options) as service:
        client = service.client
        assert client.post("/predict/digit", files={"file": png(digits.images_u8[0])}).status_code == 200
        assert client.get("/health/live").status_code == 200
        asked = time.monotonic()
        url = f"{client.base_url}/predict/digit"
        white, within = {"file": png(white_square(20).numpy())}, {"X-Request-Timeout-Ms": "2000"}
        with suppress(httpx.HTTPError):
            status = httpx.post(url, files=white, headers=within, timeout=60).status_code
            assert (rounds, status) == (3, 504)
        if workers == 1:
            code = service.process.wait(timeout=120)
            assert code == EXIT_CODE
        else:
            wait_for(lambda: service.log.read_text().count("model digit version 2 ready") == 3)
        ended_after = time.monotonic() - asked
        log = service.log.read_text()
        assert "model digit version 2 has not ended a batch in 3 s" in log
        if workers == 2:
            wait_for(lambda: httpx.get(f"{client.base_url}/health/ready", timeout=60).status_code == 200)
    figure(
        f"a model that never returns from one picture, {workers} worker(s), limit 3 s",
        "the log names the version; the process ends, or the worker is replaced, within 60 s",
        f"after {ended_after:.0f} s",
    )
    assert ended_after < 60


@contextmanager
def mounted(source: Path, target: Path) -> Iterator[psutil.Process]:
    """`target` shows `source` by a process of its own: while that is stopped, the mount hangs."""
    target.mkdir()
    process = subprocess.Popen(["bindfs", "-f", str(source), str(target)])
    try:
        wait_for(target.is_mount)
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGCONT)
        subprocess.run(["fusermount", "-u", "-z", str(target)], check=False)
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.skipif(
    not (shutil.which("bindfs") and os.access("/dev/fuse", os.R_OK | os.W_OK)),
    reason="needs bindfs, and may mount",
)
@pytest.mark.parametrize("workers", [1, 2])
def test_the_store_is_on_a_mount_that_hangs(
    store: ArtifactStore, tmp_path: Path, figure: Report, workers: int
) -> None:
    """The control: the mount does hang, for whoever looks at it. And what is published then is taken up."""
    slowest = 0.0
    with (
        mounted(store.root, tmp_path / "mount") as mount,
        served("--artifacts", str(tmp_path / "mount"), "--workers", str(workers)) as service,
    ):
        client = service.client

        def silent_since() -> object:
            return client.get("/models/digit").json()["store_silent_since"]

        assert silent_since() is None
        mount.suspend()
        # Not waited for: what the mount's daemon has begun to read of it no signal ends.
        looking = subprocess.Popen(["ls", str(tmp_path / "mount")], stdout=subprocess.DEVNULL)
        time.sleep(1)
        assert looking.poll() is None
        since = wait_for(silent_since)
        for _ in range(20):
            started = time.monotonic()
            assert client.get("/health/live").status_code == 200
            assert client.get("/health/ready").status_code == 200
            assert client.post("/predict/pass", json={"hours": 4}).status_code == 200
            assert client.get("/models").status_code == 200
            slowest = max(slowest, time.monotonic() - started)
        mount.resume()
        assert looking.wait(timeout=60) == 0
        wait_for(lambda: silent_since() is None)
        (store.root / "pass" / CURRENT_FILE).write_text("1")
        wait_for(lambda: service.log.read_text().count("model pass version 1 ready") >= 2 * workers)
        mount.suspend()
        wait_for(silent_since)
        client.close()
        service.process.send_signal(signal.SIGTERM)
        code = service.process.wait(timeout=120)
    figure(
        f"the store on a mount that hangs, {workers} worker(s)",
        "health, predictions and GET /models answer, which says since when; SIGTERM ends it",
        f"since {since}; slowest of 20 rounds {1000 * slowest:.0f} ms; exit {code}",
    )
    assert code == 0
