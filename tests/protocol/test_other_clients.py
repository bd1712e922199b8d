"""KServe's clients and MLServer's command, in environments of their own that are named."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import COMMITTED, DIGIT_VERSION, ROOT, Served, rpc_address_of, served

PICTURE = COMMITTED / "digit" / DIGIT_VERSION / "samples" / "7.png"
KSERVE_CALLS = 10 + 8 + 4


def environment(variable: str, package: str) -> Path:
    """Its `bin`."""
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} names no environment with {package}")
    return Path(folder) / "bin"


@pytest.fixture(scope="module")
def both() -> Iterator[Served]:
    options = ("--models", "digit", "--grpc-port", "0")
    with served("--artifacts", str(COMMITTED), *options) as service:
        yield service


@pytest.mark.clients
def test_kserve_s_clients(request: pytest.FixtureRequest) -> None:
    python = environment("KSERVE_ENVIRONMENT", "kserve") / "python"
    service: Served = request.getfixturevalue("both")
    script, url = ROOT / "tests" / "clients" / "ask_kserve.py", str(service.client.base_url).rstrip("/")
    command = [str(part) for part in (python, script, url, rpc_address_of(service), PICTURE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    outcomes = dict(line.split("\t") for line in done.stdout.splitlines())
    assert [call for call, right in outcomes.items() if right != "True"] == []
    assert len(outcomes) == KSERVE_CALLS, done.stdout


@pytest.mark.clients
@pytest.mark.parametrize("options", [(), ("--batch-size", "3")], ids=["alone", "batches"])
def test_mlserver_infer(request: pytest.FixtureRequest, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Six requests of a file, each a one; answers come in any order."""
    command = environment("MLSERVER_ENVIRONMENT", "mlserver") / "mlserver"
    service: Served = request.getfixturevalue("both")
    pixels = np.zeros((6, 28, 28), np.uint8)
    pixels[:, 5:23, 13:15] = 255
    asked, answered = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    with asked.open("w") as file:
        for at, picture in enumerate(pixels):
            tensor = {"name": "image", "shape": [1, 28, 28], "datatype": "UINT8"}
            inputs = [{**tensor, "data": picture.ravel().tolist()}]
            file.write(json.dumps({"id": str(at), "inputs": inputs}) + "\n")
    url = service.client.base_url
    where = ("-u", f"{url.host}:{url.port}", "-m", "digit", "-i", str(asked), "-o", str(answered))
    done = subprocess.run(
        [str(command), "infer", *where, *options], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in answered.read_text().splitlines()]
    assert {answer["id"] for answer in answers} == {str(at) for at in range(6)}
    for answer in answers:
        assert "error" not in answer
        assert np.argmax(answer["outputs"][0]["data"]) == 1
