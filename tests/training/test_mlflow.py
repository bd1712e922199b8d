"""Models of MLflow's registry: a real one in a folder (extra `mlflow`)."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner, Result

from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest
from training.commands import cli

NAME = "flowers"
MLMODEL = """flavors:
  {flavor}: {{model_data: data}}
signature:
  inputs: '[{{"type": "double", "name": "length"}}, {{"type": "double", "name": "width"}}]'
"""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    client = mlflow.MlflowClient()
    client.create_registered_model(NAME)
    return client


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(2, 3).eval()


def register(client: Any, folder: Path, how: str, *, flavor: str = "pytorch") -> None:
    """As `mlflow.pytorch.log_model` lays it out, which mlflow-skinny cannot call: it needs pandas."""
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text(MLMODEL.format(flavor=flavor))
    if how == "scripted":
        torch.jit.script(net()).save(folder / "data" / "model.pth")
    elif how == "exported":
        rows = {0: torch.export.Dim.AUTO}
        program = torch.export.export(net(), (torch.rand(2, 2),), dynamic_shapes=(rows,))
        torch.export.save(program, folder / "data" / "model.pt2")
    else:
        torch.save(net(), folder / "data" / "model.pth")
    client.create_model_version(NAME, folder.as_uri(), run_id=None)


def publish(out: Path, address: str, *options: str) -> Result:
    words = ["publish", address, "--kind", "table", "--name", NAME, "--out", str(out), *options]
    return CliRunner().invoke(cli, words)


@pytest.mark.parametrize("how", ["scripted", "exported"])
def test_a_file_is_published_by_version_and_by_alias(client: Any, tmp_path: Path, how: str) -> None:
    register(client, tmp_path / "registered", how)
    client.set_registered_model_alias(NAME, "champion", "1")
    out = tmp_path / "models"
    for version, address in enumerate((f"models:/{NAME}/1", f"models:/{NAME}@champion"), 1):
        done = publish(out, address)
        assert done.exit_code == 0, done.stderr
        folder = ArtifactStore(out).folder(NAME, version)
        assert [column.name for column in read_manifest(folder).input.columns] == ["length", "width"]  # type: ignore[union-attr]
        card = (folder / "report" / "report.md").read_text()
        assert f"Published from MLflow's registry: {NAME} version 1" in card


def test_a_pickled_module_needs_trust(client: Any, tmp_path: Path) -> None:
    register(client, tmp_path / "registered", "pickled")
    out = tmp_path / "models"
    done = publish(out, f"models:/{NAME}/1")
    assert done.exit_code == 2
    assert "may run any code when it is read: --trust-remote-code" in done.stderr
    assert "neither model.pt2 nor a TorchScript file needs it" in done.stderr
    assert not out.exists()
    done = publish(out, f"models:/{NAME}/1", "--trust-remote-code")
    assert done.exit_code == 0, done.stderr
    assert ArtifactStore(out).versions(NAME) == [1]


def test_what_cannot_be_had_is_explained(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(client, tmp_path / "registered", "scripted", flavor="sklearn")
    client.create_model_version(NAME, "s3://bucket/flowers", run_id=None)
    monkeypatch.setitem(sys.modules, "boto3", None)
    for address, words in (
        (f"models:/{NAME}/1", "has no pytorch flavor, which alone is served; it has sklearn"),
        (f"models:/{NAME}/2", "import of boto3 halted"),
        (f"models:/{NAME}/7", f"models:/{NAME}/7 is not to be had from the registry at file:"),
        (f"models:/{NAME}@gone", f"models:/{NAME}@gone is not to be had"),
        (f"models:/{NAME}", "is neither models:/NAME/VERSION nor models:/NAME@ALIAS"),
    ):
        done = publish(tmp_path / "models", address)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
        assert words in done.stderr
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    done = publish(tmp_path / "models", f"models:/{NAME}/1")
    assert done.exit_code == 2
    assert "from the registry at http://127.0.0.1:9" in done.stderr
    assert "secret" not in done.stderr


def test_without_mlflow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    done = publish(tmp_path, "models:/flowers/1")
    assert done.exit_code == 2
    assert "pip install 'abacus-serving[mlflow]'" in done.stderr
