"""Triton's own clients, over HTTP and gRPC, with asyncio and without, in an environment of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import COMMITTED, DIGIT_VERSION, ROOT, rpc_address_of, served

PACKAGES = ("tritonclient[http,grpc]==2.73.0",)
PICTURE = COMMITTED / "digit" / DIGIT_VERSION / "samples" / "7.png"
CALLS = 2 * 57 + 2 * 18


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That has the client; what the client needs never meets what we need."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{PACKAGES[0]} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return python


@pytest.mark.clients
def test_triton_s_clients(python: Path) -> None:
    script = ROOT / "tests" / "clients" / "ask_triton.py"
    with served("--artifacts", str(COMMITTED), "--grpc-port", "0") as service:
        url = service.client.base_url
        rpc = rpc_address_of(service)
        command = [str(part) for part in (python, script, f"{url.host}:{url.port}", rpc, PICTURE)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    outcomes = dict(line.split("\t") for line in done.stdout.splitlines())
    assert [call for call, right in outcomes.items() if right != "True"] == []
    assert len(outcomes) == CALLS, done.stdout
