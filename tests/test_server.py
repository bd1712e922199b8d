"""The real service: a process with a real uvicorn on a free port, over the committed artifacts."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest
from service.engine.tensors import decode_tensor
from tests.conftest import COMMITTED, ROOT, Digits, both_workers, loads, png, served, wait_for, workers_of

STORE = ArtifactStore(COMMITTED)
BODY_LIMIT = 16 * 1024 * 1024


def test_training_s_samples_give_the_stored_probabilities() -> None:
    """Parity: what training saw, posted over HTTP as a client would, comes back the same."""
    with served("--artifacts", str(COMMITTED), "--models", "digit,pass", "--precision", "float32") as exact:
        _compare_with_samples(exact.client)


def _compare_with_samples(client: httpx.Client) -> None:
    folder = STORE.folder("digit", STORE.current("digit"))
    expected = decode_tensor(read_manifest(folder).check.outputs)
    for digit, probabilities in enumerate(expected.tolist()):
        picture = (folder / "samples" / f"{digit}.png").read_bytes()
        answer = client.post("/predict/digit", files={"file": picture}).json()
        assert answer["probabilities"] == pytest.approx(probabilities[:10], abs=1e-5)
    folder = STORE.folder("pass", STORE.current("pass"))
    expected = decode_tensor(read_manifest(folder).check.outputs)
    for i, (probability,) in enumerate(expected.tolist()):
        sample = json.loads((folder / "samples" / f"{i}.json").read_text())
        answer = client.post("/predict/pass", json=sample).json()
        assert answer["probability"] == pytest.approx(probability, abs=1e-6)


def test_500_real_pictures_at_the_stated_accuracy(committed_server: httpx.Client, digits: Digits) -> None:
    stated = read_manifest(STORE.folder("digit", STORE.current("digit"))).metric("accuracy", "test").value

    def right(i: int) -> bool:
        answer = committed_server.post("/predict/digit", files={"file": png(digits.images_u8[i])})
        return bool(answer.json()["digit"] == digits.labels[i])

    with ThreadPoolExecutor(16) as clients:
        accuracy = sum(clients.map(right, range(500))) / 500
    assert abs(accuracy - stated) <= 4 * (stated * (1 - stated) / 500) ** 0.5


def test_a_large_body_is_refused_before_it_is_read(committed_server: httpx.Client) -> None:
    """The client states 10 GB and sends nothing more: the answer must come at once."""
    url = urlsplit(str(committed_server.base_url))
    with socket.create_connection((url.hostname, url.port or 80), timeout=60) as connection:
        connection.sendall(
            b"POST /predict/digit HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            b"Content-Length: 10000000000\r\n\r\n"
        )
        assert b" 413 " in connection.recv(65536).splitlines()[0]


def test_a_body_without_length_is_cut_off_at_the_limit(committed_server: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(BODY_LIMIT // 65536 + 64):
            yield b"x" * 65536

    headers = {"Content-Type": "image/png"}
    response = committed_server.post("/predict/digit", content=endless(), headers=headers)
    assert response.status_code == 413
    assert committed_server.get("/health/ready").status_code == 200


def test_a_post_without_length_or_chunks_is_411(committed_server: httpx.Client) -> None:
    url = urlsplit(str(committed_server.base_url))
    with socket.create_connection((url.hostname, url.port or 80), timeout=60) as connection:
        connection.sendall(
            b"POST /predict/pass HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n"
        )
        assert b" 411 " in connection.recv(65536).splitlines()[0]


def test_a_client_that_hangs_up_midway_harms_nobody(committed_server: httpx.Client) -> None:
    url = urlsplit(str(committed_server.base_url))
    for _ in range(20):
        with socket.create_connection((url.hostname, url.port or 80), timeout=60) as connection:
            connection.sendall(
                b"POST /predict/digit HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
                b"Content-Length: 1000\r\n\r\nhalf"
            )
    assert committed_server.post("/predict/pass", json={"hours": 4}).status_code == 200


def test_a_worker_that_dies_is_replaced_and_the_supervisor_holds_no_torch() -> None:
    # PYTHONPATH has it started cold: a fork of tests/warm.py would hold torch.
    with served("--workers", "2", PYTHONPATH=str(ROOT)) as service:
        supervisor = psutil.Process(service.process.pid)
        assert "libtorch" not in str([library.path for library in supervisor.memory_maps()])
        workers = both_workers(service)
        wait_for(lambda: loads(service.log) == 2)
        workers[0].kill()
        wait_for(lambda: loads(service.log) == 3)
        assert len(set(workers_of(supervisor)) - {workers[0]}) == 2
        with httpx.Client(base_url=service.client.base_url, timeout=60) as client:
            assert client.post("/predict/pass", json={"hours": 4}).status_code == 200


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--device", "cuda:99"), "'cuda:99' was asked for, but this machine has"),
        (("--device", "tpu"), "device"),
        (("--port", "70000"), "port"),
        (("--workers", "0"), "workers"),
        (("--log-level", "loud"), "--log-level loud"),
        (("--colour", "red"), "--colour"),
    ],
)
def test_a_wrong_option_stops_it_with_exit_code_2(options: tuple[str, str], complaint: str) -> None:
    result = run(*options)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_that_is_taken_stops_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("--port", str(taken.getsockname()[1]))
    assert result.returncode != 0
    assert "address already in use" in result.stderr.lower()


def test_no_request_imports_torchvision_or_training() -> None:
    code = (
        "import sys, asyncio, httpx\n"
        "from service.app import create_app\n"
        "async def main():\n"
        "    app = create_app()\n"
        "    async with app.router.lifespan_context(app):\n"
        "        transport = httpx.ASGITransport(app)\n"
        "        async with httpx.AsyncClient(transport=transport, base_url='http://x') as c:\n"
        "            r = await c.post('/predict/digit', files={'file': open(sys.argv[1], 'rb')})\n"
        "            assert r.status_code == 200, r.text\n"
        "asyncio.run(main())\n"
        "print({m.partition('.')[0] for m in sys.modules} & {'torchvision', 'training', 'matplotlib'})\n"
    )
    sample = STORE.folder("digit", STORE.current("digit")) / "samples" / "7.png"
    result = subprocess.run(
        [sys.executable, "-c", code, str(sample)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"
