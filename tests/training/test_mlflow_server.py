"""Models of MLflow's registry behind its own server, over HTTP, as `mlflow.pytorch` registers them.

It needs MLflow whole: mlflow-skinny has no server.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from service.artifacts.store import ArtifactStore, read_manifest
from tests.conftest import ROOT, free_ports, wait_for

pytestmark = pytest.mark.skipif(
    not (find_spec("mlflow") and find_spec("alembic")), reason="MLflow's server is not installed"
)

NAME = "flowers"
SCRIPTED, PICKLED, EXPORTED = 1, 2, 3  # versions

# By MLflow's own means, in a process of its own: it warns of much.
REGISTERING = f"""
import mlflow, pandas, torch
from mlflow.models import infer_signature
torch.manual_seed(0)
net, rows = torch.nn.Sequential(torch.nn.Linear(2, 3)).eval(), torch.rand(4, 2)
table = pandas.DataFrame(rows.numpy(), columns=["length", "width"])
signature = infer_signature(table, net(rows).detach().numpy())
scripted, pickled = torch.jit.script(net), dict(signature=signature, serialization_format="pickle")
for model, how in ((scripted, pickled), (net, pickled), (net, dict(input_example=rows.numpy()))):
    with mlflow.start_run():
        mlflow.pytorch.log_model(model, name="model", registered_model_name={NAME!r}, **how)
mlflow.MlflowClient().set_registered_model_alias({NAME!r}, "champion", "{SCRIPTED}")
"""


class Registry(NamedTuple):
    process: subprocess.Popen[bytes]
    url: str

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`python …` that asks this registry."""
        environment = {
            **os.environ,
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        }
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
        )

    def publish(self, out: Path, address: str, *options: str) -> subprocess.CompletedProcess[str]:
        words = ["-m", "training", "publish", address, "--kind", "table", "--name", NAME, "--out", str(out)]
        return self.run(*words, *options)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """With three versions of a net: as TorchScript, pickled, and as torch.export writes it."""
    folder, (port,) = tmp_path_factory.mktemp("mlflow"), free_ports(1)
    words = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += [
        "--backend-store-uri",
        "sqlite:///mlflow.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    one = Registry(process, f"http://127.0.0.1:{port}")
    try:
        wait_for(lambda: _answers(one), 120)
        done = one.run("-c", REGISTERING)
        assert done.returncode == 0, done.stderr
        yield one
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with its worker
        process.wait()


def _answers(registry: Registry) -> bool:
    assert registry.process.poll() is None
    try:
        return httpx.get(f"{registry.url}/health").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def test_what_mlflow_registered_is_published(registry: Registry, tmp_path: Path) -> None:
    out = tmp_path / "models"
    addresses = (f"models:/{NAME}/{SCRIPTED}", f"models:/{NAME}@champion")
    for version, address in enumerate(addresses, 1):
        done = registry.publish(out, address)
        assert done.returncode == 0, done.stderr
        folder = ArtifactStore(out).folder(NAME, version)
        assert [column.name for column in read_manifest(folder).input.columns] == ["length", "width"]  # type: ignore[union-attr]
        card = (folder / "report" / "report.md").read_text()
        assert f"Published from MLflow's registry: {NAME} version {SCRIPTED}, of run " in card
    done = registry.publish(out, f"models:/{NAME}/{PICKLED}", "--trust-remote-code")
    assert done.returncode == 0, done.stderr
    assert ArtifactStore(out).versions(NAME) == [1, 2, 3]
    # The same net, whichever way it came.
    scripted, pickled = (read_manifest(ArtifactStore(out).folder(NAME, version)) for version in (1, 3))
    assert scripted.check.outputs == pickled.check.outputs


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"models:/{NAME}/{PICKLED}", "is a pickled module, which may run any code when it is read"),
        (f"models:/{NAME}/{EXPORTED}", "what torch.export writes (model.pt2) is not read"),
        (f"models:/{NAME}/9", "not found"),
        (f"models:/{NAME}@gone", "alias gone not found"),
        ("models:/none/1", "not found"),
    ],
)
def test_what_cannot_be_published_is_one_line(
    registry: Registry, tmp_path: Path, address: str, words: str
) -> None:
    done = registry.publish(tmp_path / "models", address)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert words in done.stderr
    assert not (tmp_path / "models").exists()


def test_a_server_that_is_down_is_one_line(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        down = Registry(ended, f"http://127.0.0.1:{port}")
    done = down.publish(tmp_path / "models", f"models:/{NAME}/1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"is not to be had from the registry at {down.url}" in done.stderr
    assert not (tmp_path / "models").exists()
