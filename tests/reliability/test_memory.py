"""Memory over very many requests and reloads: its slope, and a planted leak that the same test must see."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

import httpx
import numpy as np
import psutil
import pytest

from service.artifacts.store import ArtifactStore
from tests.conftest import ROOT, Digits, png, publish_copy, wait_for
from tests.reliability.leaky import LEAK_BYTES
from tests.reliability.load import whole_request

Report = Callable[[str, str, str], None]

PIPELINED = 16  # requests sent before their answers are read


@contextmanager
def server(application: str, artifacts: Path) -> Iterator[tuple[psutil.Process, int]]:
    """Uvicorn around an application factory; its process and port."""
    command = [sys.executable, "-m", "uvicorn", "--factory", application, "--port", "0", "--no-access-log"]
    environment = os.environ | {"SERVICE_ARTIFACTS": str(artifacts), "SERVICE_RELOAD_S": "0.1"}
    with NamedTemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, stderr=log, env=environment)
        try:
            while not (match := re.search(r"running on http://[\d.]+:(\d+)", Path(log.name).read_text())):
                assert process.poll() is None
                time.sleep(0.05)
            yield psutil.Process(process.pid), int(match[1])
        finally:
            process.terminate()
            process.wait(timeout=120)


def send(port: int, request: bytes, count: int) -> None:
    """`count` requests over one connection, many on the way at a time."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        reader = connection.makefile("rb")
        for _ in range(count // PIPELINED):
            connection.sendall(request * PIPELINED)
            for _ in range(PIPELINED):
                assert b" 200 " in reader.readline()
                length = 0
                while (line := reader.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                reader.read(length)


def slope(process: psutil.Process, port: int, request: bytes, steps: int, each: int) -> tuple[float, float]:
    """Bytes of memory a request, by least squares, and the standard error of that."""
    send(port, request, 2 * each)  # until everything that is kept for good is there
    memory = []
    for _ in range(steps):
        send(port, request, each)
        memory.append(process.memory_full_info().uss)
    x = np.arange(steps) * each
    (a, b), residuals, *_ = np.polyfit(x, memory, 1, full=True)
    del b
    noise = float(residuals[0]) if len(residuals) else 0.0
    error = np.sqrt(noise / (steps - 2) / ((x - x.mean()) ** 2).sum())
    return float(a), float(error)


@pytest.mark.alone  # on a busy machine it has been seen to wander by megabytes
@pytest.mark.parametrize("planted", [False, True], ids=["as it is", "control: a planted leak"])
def test_memory_over_requests(
    published: Path, digits: Digits, long: bool, figure: Report, planted: bool
) -> None:
    steps, each = (6, 4_000) if planted else (50, 20_000) if long else (12, 4_000)
    request = whole_request(png(digits.images_u8[0]))
    application = "tests.reliability.leaky:create_leaking_app" if planted else "service.app:create_app"
    with server(application, published) as (process, port):
        bytes_each, error = slope(process, port, request, steps, each)
    if planted:
        assert bytes_each > LEAK_BYTES / 2
        return
    figure(
        f"{steps * each:,} requests",
        "memory slope not distinguishable from 0; a planted leak of 100 B a request is caught",
        f"{bytes_each:.2f} ± {2 * error:.2f} bytes a request",
    )
    assert bytes_each < LEAK_BYTES / 4


def wait_until_live(port: int, version: int) -> None:
    url = f"http://127.0.0.1:{port}/models/digit"
    wait_for(lambda: httpx.get(url, timeout=60).json()["version"] == version)


def test_memory_over_reloads(published: Path, tmp_path: Path, figure: Report) -> None:
    reloads = 100  # what the allocator keeps wanders by 20 MB: of fewer the slope is as large as the bar
    shutil.copytree(published, tmp_path / "artifacts")
    store = ArtifactStore(tmp_path / "artifacts")
    size = (store.folder("digit", 1) / "model.pt").stat().st_size
    memory = []
    with server("service.app:create_app", store.root) as (process, port):
        for _ in range(reloads):
            wait_until_live(port, publish_copy(store))
            time.sleep(0.3)  # until the one before is gone: while a version is loaded there are two
            memory.append(process.memory_full_info().uss)
    half = memory[reloads // 2 :]
    grown = float(np.polyfit(np.arange(len(half)), half, 1)[0])  # ends alone are noisy
    figure(
        f"{reloads} reloads of {size / 1e6:.1f} MB",
        "memory does not grow",
        f"{grown / 1e3:.0f} kB a reload",
    )
    assert grown < size / 4  # the control: a version that stays costs at least its size
