"""Fixtures: tiny real models published by our own publish(), the app in process, and a real server."""

import asyncio
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import cache
from io import BytesIO
from multiprocessing import Pipe
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple, TypeVar

import httpx
import numpy as np
import psutil
import pytest
import torch
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from service import trial
from service.app import create_app
from service.artifacts.manifest import (
    MANIFEST_FILE,
    SIGNATURE_FILE,
    ArtifactError,
    Manifest,
    Metric,
    TrainingRecord,
)
from service.artifacts.signatures import SigningKey
from service.artifacts.store import ArtifactStore
from service.engine.loading import load
from service.engine.predictor import Predictor
from service.rollout import asking
from service.settings import Settings
from tests import warm
from training.data import Rows
from training.digits.digit_nets import DigitNet, softmax_mlp
from training.digits.digit_recipe import IMAGES, PROBABILITIES
from training.pass_recipe import train_pass
from training.publishing.activation import Publication
from training.publishing.proof import FreshProcess, fresh_process
from training.publishing.publish import Candidate, publish

ROOT = Path(__file__).parent.parent
BESIDE_OTHERS = "PYTEST_XDIST_WORKER" in os.environ
COMMITTED = ROOT / "artifacts"
DIGIT_VERSION = (COMMITTED / "digit" / "current").read_text().strip()
OLDER_DIGIT_VERSION = str(
    max(int(p.parent.name) for p in COMMITTED.glob("digit/*/model.pt") if p.parent.name != DIGIT_VERSION)
)
BASELINE = ROOT / "benchmarks" / "artifacts" / "digit" / "1"  # softmax-mlp, with a manifest of version 1
CPU = torch.device("cpu")

asking.STORE_ANSWERS_S = 60.0  # in this process: a machine that pauses is no store that does not answer

_given: set[int] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="Run the reliability rows at full length.")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: tests often wait for services to start and end."""
    return min(4, (os.cpu_count() or 1) + 1)


# Where tests start processes: beside them there is something quick to do, and nothing long at the end.
LONG = ("reliability", "workers", "rollout", "training", "test_commands.py", "test_server.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.relative_to(ROOT / "tests").parts[0] not in LONG)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the developer's own shell reaches a test, and no checkpoint of a test its folder."""
    for name in [n for n in os.environ if n.startswith(("SERVICE_", "TRAINING_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TRAINING_CHECKPOINTS", str(tmp_path_factory.getbasetemp() / "runs"))


@pytest.fixture(scope="session", autouse=True)
def one_process_verifies() -> Iterator[None]:
    """What is published here, one archive after the other: to import torch takes it seconds."""
    kept = ExitStack()
    processes: list[FreshProcess] = []

    @contextmanager
    def lasting() -> Iterator[FreshProcess]:
        if not processes:
            processes.append(kept.enter_context(fresh_process()))
        try:
            yield processes[0]
        except BaseException:  # it may be the archive's
            processes.clear()
            kept.close()
            raise

    with pytest.MonkeyPatch.context() as patch, kept:
        patch.setattr("training.publishing.publish.fresh_process", lasting)
        yield


@pytest.fixture
def tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch is already; test_commands.py shows that it is done in a process of its own."""

    def try_version(root: Path, settings: Settings, name: str, version: int) -> None:
        ours, theirs = Pipe(duplex=False)
        with ours, theirs:
            trial._load(theirs, root, settings, name, version)
            ours.recv()  # that it has begun
            if error := ours.recv():
                raise ArtifactError(error)

    monkeypatch.setattr("service.commands.try_version", try_version)


@pytest.fixture(scope="session", autouse=True)
def certificates_are_read_once() -> Iterator[None]:
    """No test uses TLS, and httpx reads them all for every client: that takes longer than many a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


class Digits(NamedTuple):
    """500 of MNIST's 10,000 test pictures, drawn once by a seed: `images_u8 [500, 28, 28]`."""

    images_u8: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@pytest.fixture(scope="session")
def digits() -> Digits:
    with np.load(ROOT / "tests" / "data" / "mnist-test-500.npz") as archive:
        return Digits(archive["images_u8"], archive["labels"])


@pytest.fixture(scope="session")
def model() -> Predictor:
    """The committed digit model."""
    store = ArtifactStore(COMMITTED)
    return load(store.folder("digit", store.current("digit")), CPU)


def mnist_rows(digits: Digits) -> Rows:
    return Rows(torch.from_numpy(digits.images_u8)[:, None], torch.from_numpy(digits.labels).long())


QUIET = Console(quiet=True)


def digit_candidate(net: torch.nn.Module, images_u8: torch.Tensor) -> Candidate:
    """What it takes to publish `net` as `digit`, with the figures of a model nobody trained."""
    return Candidate(
        name="digit",
        kind="digit",
        net=net,
        input=IMAGES,
        output=PROBABILITIES,
        metrics=(Metric(name="accuracy", value=0.1, split="test", n=10),),
        training=TrainingRecord(
            recipe="untrained",
            hyperparameters={},
            seed=0,
            device="cpu",
            torch_version=str(torch.__version__),
            git_commit=None,
            data_sha256="0" * 64,
            seconds=0,
        ),
        check_rows=images_u8,
        proof_rows=images_u8,
        files={},
    )


def publish_digit(root: Path, digits: Digits, net: torch.nn.Module | None = None) -> Manifest:
    """Publish a seeded, untrained net (or `net`) as the next version of `digit` under `root`."""
    torch.manual_seed(0)
    images_u8 = torch.from_numpy(digits.images_u8[:10]).unsqueeze(1)
    return publish(digit_candidate(net or DigitNet(softmax_mlp()), images_u8), ArtifactStore(root))


def publish_copy(store: ArtifactStore, key: SigningKey | None = None, spoil: Any = None) -> int:
    """Publish version 1 of `digit` again as the next version, spoilt on the way; it goes live.

    As atomic as `publish`, and quick: no process verifies it.
    """
    version = max(store.versions("digit")) + 1
    with store.publishing("digit") as folder:
        staged = folder / ".staging-copy"
        shutil.copytree(store.folder("digit", 1), staged)
        manifest = json.loads((staged / MANIFEST_FILE).read_text())
        (staged / MANIFEST_FILE).write_text(json.dumps(manifest | {"version": version}))
        if key:
            (staged / SIGNATURE_FILE).write_bytes(key.sign((staged / MANIFEST_FILE).read_bytes()))
        if spoil:
            spoil(staged)
        staged.rename(store.folder("digit", version))
        store.activate("digit", version)
    return version


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Path:
    """A store with one version of both models. Read it only: it serves the whole session."""
    root = tmp_path_factory.mktemp("artifacts")
    publish_digit(root, digits)
    train_pass(Publication(ArtifactStore(root)), QUIET, device=CPU)
    return root


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app in this process, its lifespan entered."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield client


@pytest.fixture
async def client(published: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running(create_app(Settings(artifacts=published))) as client:
        yield client


T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """Of those that the system gives to nobody by itself, and of this process's own: they stay free.

    A port is given once: it may be bound later.
    """
    given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = [port for port in range(given - 10_000 + own, given, 16) if port not in _given]
    found: list[int] = []
    with ExitStack() as stack:
        for port in random.sample(ports, len(ports)):
            with suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                _given.update(found)
                return found
    pytest.fail("no port is free")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is waited for: clients send it apart from its head, on a busy machine much later."""
    monkeypatch.setattr("service.fast_path.connection.PATIENCE_S", 60.0)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For what is small: beside other tests, threads of torch would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def wait_for(condition: Callable[[], T | None], within_s: float = 120) -> T:
    """What `condition` returns once it holds; fails when it does not in time."""
    deadline = time.monotonic() + within_s
    while not (held := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return held


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = 120) -> None:
    """Likewise, on the event loop."""
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Nothing can be opened in this process: what is open has higher numbers than it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Served(NamedTuple):
    client: httpx.Client
    process: warm.Process
    log: Path


@contextmanager
def served(*options: str, module: str = "service", **environment: str) -> Iterator[Served]:
    """`python -m service` on a free port, as a process of its own (and group), once it answers.

    Beside other tests it is a copy of one that has imported the libraries (see `warm`), unless a PYTHONPATH
    is given, from which something may be imported first.
    """
    words = [*module.split(), "--port", "0", *options]
    with NamedTemporaryFile() as file:
        log = Path(file.name)
        start = warm.start if BESIDE_OTHERS and "PYTHONPATH" not in environment else started
        process = start(words, {**os.environ, **environment}, log)
        try:
            with httpx.Client(base_url=address_in(log, process), timeout=60) as client:
                _wait_until_it_accepts(client, process)
                yield Served(client, process, log)
        finally:
            process.terminate()
            try:
                process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise


def started(words: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", *words]
    with log.open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, stderr=file, env=environment, start_new_session=True)


def address_in(log: Path, process: warm.Process) -> str:
    while not (match := re.search(r"running on (http://[\w.:]+)", log.read_text())):
        assert process.poll() is None, f"the service ended before it listened:\n{log.read_text()}"
        time.sleep(0.05)
    return match[1]


def rpc_address_of(service: Served) -> str:
    """Of one that was started with `--grpc-port 0`."""
    found = re.search(r"gRPC running on ([\w.:]+)", service.log.read_text())
    assert found
    return found[1]


def _wait_until_it_accepts(client: httpx.Client, process: warm.Process) -> None:
    """Several workers announce their address when it is bound, and listen when they are ready."""
    while True:
        try:
            client.get("/health/live")
            return
        except httpx.ConnectError:
            assert process.poll() is None
            time.sleep(0.05)


@pytest.fixture(scope="session")
def committed_server() -> Iterator[httpx.Client]:
    """The real service over the artifacts that are committed."""
    with served("--artifacts", str(COMMITTED)) as service:
        yield service.client


def metric_sum(text: str, *prefixes: str) -> float:
    """Of what Prometheus reads: the sum over the lines that start so."""
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(prefixes))


def sent(client: httpx.Client) -> float:
    """Rows admitted and requests answered, of all workers, as Prometheus reads them."""
    text = client.get("/metrics").text
    return metric_sum(text, "abacus_queue_rows", 'abacus_requests_total{method="POST"')


def loads(log: Path) -> int:
    """How often a worker has loaded `digit`."""
    return log.read_text().count("model digit version")


def workers_of(supervisor: psutil.Process) -> list[psutil.Process]:
    """The workers alone: multiprocessing has a process of its own beside them, and they may be copies."""
    workers = []
    for child in supervisor.children():
        with suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()) and child.name() != "abacus-nursery":
                workers.append(child)
    return workers


def decoders() -> list[psutil.Process]:
    """Children of this process that read pictures: other tests leave a server running."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if "service.decoding.decoder" in " ".join(child.cmdline()):
                found.append(child)
    return found


def both_workers(service: Served) -> list[psutil.Process]:
    """As soon as there are two: one may answer before the other has its name."""
    supervisor = psutil.Process(service.process.pid)
    return wait_for(lambda: found if len(found := workers_of(supervisor)) == 2 else None)


def png(image: NDArray[np.uint8] | Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    """An encoded picture."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = BytesIO()
    picture.save(buffer, format=image_format, **options)
    return buffer.getvalue()
