"""Clients of Triton, over HTTP and gRPC, with asyncio and without, in environments of their own."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import COMMITTED, DIGIT_VERSION, ROOT, rpc_address_of, served
from tests.environments import python_with

PICTURE = COMMITTED / "digit" / DIGIT_VERSION / "samples" / "7.png"


@pytest.mark.clients
@pytest.mark.parametrize(
    ("script", "package", "calls"),
    [
        ("ask_triton.py", "tritonclient[http,grpc]==2.73.0", 2 * 57 + 2 * 18),
        ("ask_pytriton.py", "nvidia-pytriton==0.7.0", 2 * 6 + 1),
    ],
)
def test_triton_s_clients(tmp_path: Path, script: str, package: str, calls: int) -> None:
    python = python_with(tmp_path, package)
    with served("--artifacts", str(COMMITTED), "--grpc-port", "0") as service:
        url = service.client.base_url
        ask = ROOT / "tests" / "clients" / script
        command = [
            str(part) for part in (python, ask, f"{url.host}:{url.port}", rpc_address_of(service), PICTURE)
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    outcomes = dict(line.split("\t") for line in done.stdout.splitlines())
    assert [call for call, right in outcomes.items() if right != "True"] == []
    assert len(outcomes) == calls, done.stdout
