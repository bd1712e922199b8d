"""The images and docker-compose.yml, built and run for real: `make test-container`."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Semaphore

import httpx
import pytest

from service.artifacts.store import ArtifactStore
from tests.conftest import BASELINE, COMMITTED, ROOT, wait_for

pytestmark = pytest.mark.container

PORT = "18000"
PROJECT = "abacus-test"
CPU_INDEX = os.environ.get("TORCH_INDEX_URL", "")
CPU_IMAGE_BYTES = 1_500_000_000


def compose_command() -> list[str]:
    """`docker compose`, or the older `docker-compose`; whichever is here."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise RuntimeError("neither `docker compose` nor `docker-compose` is installed")


Compose = Callable[..., str]


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    command = compose_command()

    def run(*arguments: str) -> str:
        options = ["--project-name", PROJECT, "--profile", "cpu", "--profile", "train"]
        result = subprocess.run(
            [*command, *options, *arguments],
            cwd=ROOT,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "ABACUS_PORT": PORT, "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        print(f"$ {' '.join(['docker-compose', *arguments])}\n{result.stdout}", flush=True)
        return result.stdout

    run("down", "--volumes")
    run("build", "service-cpu", "train")
    yield run
    run("down", "--volumes")


@pytest.fixture(scope="module")
def container(compose: Compose) -> str:
    """The id of the running service, once the engine calls it healthy."""
    compose("up", "--detach", "service-cpu")
    identifier = compose("ps", "--quiet", "service-cpu").strip()
    wait_until_healthy(identifier)
    return identifier


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def wait_until_healthy(identifier: str) -> None:
    for _ in range(120):
        health = docker("inspect", "--format", "{{.State.Health.Status}}", identifier)
        if health == "healthy":
            print(docker("ps", "--filter", f"id={identifier}"), flush=True)
            return
        time.sleep(1)
    raise AssertionError(docker("logs", identifier))


@pytest.fixture
def outside(container: str) -> Iterator[httpx.Client]:  # noqa: ARG001  it must run
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=30) as client:
        yield client


def test_hours_and_a_digit_are_answered_outside_the_container(outside: httpx.Client) -> None:
    answer = outside.post("/predict/pass", json={"hours": 4})
    print(answer.text)
    assert answer.json()["passed"] is True
    store = ArtifactStore(COMMITTED)
    folder = store.folder("digit", store.current("digit"))
    for digit in range(10):
        picture = (folder / "samples" / f"{digit}.png").read_bytes()
        answer = outside.post("/predict/digit", files={"file": picture})
        assert answer.json()["digit"] == digit
    print(answer.text)
    assert {m["device"] for m in outside.get("/models").json()["models"]} == {"cpu"}


def test_it_runs_as_nobody_special_and_cannot_write(container: str) -> None:
    assert docker("exec", container, "id", "-u") == "10001"
    mounts = json.loads(docker("inspect", "--format", "{{json .Mounts}}", container))
    (artifacts,) = [m for m in mounts if m["Destination"] == "/artifacts"]
    assert artifacts["RW"] is False
    for path in ("/artifacts/x", "/app/x"):
        with pytest.raises(subprocess.CalledProcessError):
            docker("exec", container, "touch", path)


def test_the_run_time_image_holds_no_training(container: str) -> None:
    code = "import importlib.util as u; print([n for n in ('training', 'torchvision') if u.find_spec(n)])"
    assert docker("exec", container, "python", "-c", code) == "[]"
    assert docker("exec", container, "ls", "/app").split() == [
        "constraints.txt",
        "pyproject.toml",
        "requirements.txt",
        "service",
    ]


@pytest.mark.skipif(not CPU_INDEX, reason="TORCH_INDEX_URL names no CPU-only package index")
def test_with_the_cpu_only_builds_the_image_is_small() -> None:
    argument, image = f"TORCH_INDEX_URL={CPU_INDEX}", f"{PROJECT}:cpu"
    docker("build", "--target", "service", "--build-arg", argument, "--tag", image, str(ROOT))
    assert int(docker("image", "inspect", "--format", "{{.Size}}", image)) < CPU_IMAGE_BYTES


def test_a_training_job_publishes_into_the_shared_volume(
    compose: Compose, container: str, outside: httpx.Client
) -> None:
    before = outside.get("/models/pass").json()["version"]
    print(compose("run", "--rm", "train", "pass", "--seed", "1"))
    compose("restart", "service-cpu")
    wait_until_healthy(container)
    after = outside.get("/models/pass").json()
    assert (after["version"], after["manifest"]["training"]["seed"]) == (before + 1, 1)


@pytest.mark.parametrize("how", ["control: kill", "stop"])
def test_a_stop_with_40_in_flight(compose: Compose, container: str, how: str) -> None:
    """Half of every picture has come when the container is told to stop, and the rest comes afterwards."""
    compose("up", "--detach", "service-cpu")
    wait_until_healthy(container)
    requests = 40
    picture = (BASELINE / "samples" / "7.png").read_bytes()
    begun, told = Semaphore(0), Event()

    def halves() -> Iterator[bytes]:
        yield picture[:200]
        begun.release()
        told.wait(60)
        yield picture[200:]

    def ask() -> int:
        url, headers = f"http://127.0.0.1:{PORT}/predict/digit", {"Content-Type": "image/png"}
        try:
            return httpx.post(url, content=halves(), headers=headers, timeout=60).status_code
        except httpx.HTTPError:
            return 0

    with ThreadPoolExecutor(requests + 1) as pool:
        answers = [pool.submit(ask) for _ in range(requests)]
        for _ in range(requests):
            assert begun.acquire(timeout=30)
        stopping = pool.submit(compose, "stop" if how == "stop" else "kill", "service-cpu")
        wait_for(lambda: not reachable())
        told.set()
        answered = sum(answer.result() == 200 for answer in answers)
        stopping.result()
    code = docker("inspect", "--format", "{{.State.ExitCode}}", container)
    print(f"{how}: {answered} of {requests} answered, exit {code}")
    assert (answered, code) == ((requests, "0") if how == "stop" else (0, "137"))


def reachable() -> bool:
    """Whether the service takes new connections."""
    try:
        return httpx.get(f"http://127.0.0.1:{PORT}/health/live", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_default_service_asks_for_the_gpus(compose: Compose) -> None:
    """Without a GPU here the passthrough can only be read: `driver: nvidia`, all of them."""
    configuration = compose("config")
    for line in ("driver: nvidia", "count: all", "- gpu", "SERVICE_DEVICE: cuda"):
        assert line in configuration
