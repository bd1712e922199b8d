"""Models of MLflow's registry behind its own server, over HTTP, as `mlflow.pytorch` registers them.

It needs MLflow whole: mlflow-skinny has no server.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from service.app import create_app
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest
from service.settings import Settings
from tests.conftest import ROOT, free_ports, running, wait_for

pytestmark = pytest.mark.skipif(
    not (find_spec("mlflow") and find_spec("alembic")), reason="MLflow's server is not installed"
)

NAME = "flowers"
SCRIPTED, PICKLED, EXPORTED, OF_ONE_ROW = 1, 2, 3, 4  # versions

# By MLflow's own means, in a process of its own: it warns of much.
REGISTERING = f"""
import mlflow, pandas, torch
from mlflow.models import infer_signature
torch.manual_seed(0)
net, rows = torch.nn.Sequential(torch.nn.Linear(2, 3)).eval(), torch.rand(2, 2)
table = pandas.DataFrame(rows.numpy(), columns=["length", "width"])
signature = infer_signature(table, net(rows).detach().numpy())
scripted, pickled = torch.jit.script(net), dict(signature=signature, serialization_format="pickle")
default, one_row = dict(input_example=rows.numpy()), dict(input_example=rows[:1].numpy())
for model, how in ((scripted, pickled), (net, pickled), (net, default), (net, one_row)):
    with mlflow.start_run():
        mlflow.pytorch.log_model(model, name="model", registered_model_name={NAME!r}, **how)
mlflow.MlflowClient().set_registered_model_alias({NAME!r}, "champion", "{SCRIPTED}")
"""

# What MLflow itself answers with that version.
ANSWERING = f"""
import json, mlflow, numpy
model = mlflow.pyfunc.load_model("models:/{NAME}/{EXPORTED}")
rows = numpy.array([[0.5, 1.5], [-2, 3], [0, 0]], numpy.float32)
print(json.dumps([rows.tolist(), model.predict(rows).tolist()]))
"""


class Registry(NamedTuple):
    process: subprocess.Popen[bytes]
    url: str
    files: Path

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
    """With versions of a net: as TorchScript, pickled, and twice by torch.export, as MLflow does it."""
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
    one = Registry(process, f"http://127.0.0.1:{port}", folder / "files")
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


async def test_what_log_model_writes_by_default_answers_as_in_mlflow(
    registry: Registry, tmp_path: Path
) -> None:
    out = tmp_path / "models"
    words = ["--columns", "length,width", "--output", "numbers"]  # its signature names none
    done = registry.publish(out, f"models:/{NAME}/{EXPORTED}", *words)
    assert done.returncode == 0, done.stderr
    asked = registry.run("-c", ANSWERING)
    assert asked.returncode == 0, asked.stderr
    rows, expected = json.loads(asked.stdout)
    given = dict(zip(("length", "width"), zip(*rows, strict=True), strict=True))
    async with running(create_app(Settings(artifacts=out))) as client:
        answer = await client.post(f"/predict/{NAME}", json=given)
    assert answer.status_code == 200, answer.text
    for one, values in zip(answer.json()["predictions"], expected, strict=True):
        assert [one[name] for name in "012"] == pytest.approx(values, abs=1e-6)
    card = (out / NAME / "1/report/report.md").read_text()
    assert f"Published from MLflow's registry: {NAME} version {EXPORTED}, of run " in card


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda file: file.write_bytes(file.read_bytes()[:-3000]),
            f"models:/{NAME}/{EXPORTED} is damaged: ",
        ),
        (Path.unlink, "has neither data/model.pth nor data/model.pt2"),
    ],
    ids=["cut", "gone"],
)
def test_a_file_that_was_spoiled_in_its_storage_is_one_line(
    registry: Registry, tmp_path: Path, spoil: Callable[[Path], object], words: str
) -> None:
    whole = {file: file.read_bytes() for file in registry.files.rglob("model.pt2")}
    try:
        for file in whole:
            spoil(file)
        done = registry.publish(tmp_path / "models", f"models:/{NAME}/{EXPORTED}", "--columns", "a,b")
    finally:
        for file, data in whole.items():
            file.write_bytes(data)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert words in done.stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"models:/{NAME}/{PICKLED}", "is a pickled module, which may run any code when it is read"),
        (f"models:/{NAME}/{OF_ONE_ROW}", "reads 1 row at once, no more or less: torch.export keeps"),
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
        down = Registry(ended, f"http://127.0.0.1:{port}", tmp_path)
    done = down.publish(tmp_path / "models", f"models:/{NAME}/1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"is not to be had from the registry at {down.url}" in done.stderr
    assert not (tmp_path / "models").exists()
