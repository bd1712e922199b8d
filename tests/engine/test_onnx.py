"""Versions whose archive is ONNX: what is converted answers as before, with onnxruntime or not at all."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from service.artifacts.manifest import ArtifactError, Manifest
from service.artifacts.store import ArtifactStore
from service.engine.loading import load
from service.engine.tensors import decode_tensor
from tests.conftest import BASELINE, COMMITTED, CPU, Digits, digit_candidate, png, served
from tests.training.quantized_digits import baseline_net
from training.commands import cli
from training.publishing.activation import Publication
from training.publishing.conversion import convert
from training.publishing.publish import publish

LIVE = ArtifactStore(COMMITTED)
NAMES = LIVE.names()
HOURS = (0.0, 1.5, 4.0, 10.0)


def copy_of_live(root: Path, name: str) -> int:
    version = LIVE.current(name)
    shutil.copytree(LIVE.folder(name, version), root / name / str(version))
    (root / name / "current").write_text(f"{version}\n")
    return version


def convert_by_command(store: Path, *options: str) -> str:
    done = CliRunner().invoke(cli, ["convert", *options, "--out", str(store)])
    return f"{done.exit_code}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each live model that is committed, and its conversion, which is live."""
    for library in ("onnxruntime", "onnx", "onnxscript"):
        pytest.importorskip(library)
    root = tmp_path_factory.mktemp("converted")
    for name in NAMES:
        copy_of_live(root, name)
        assert convert_by_command(root, name, "--activate").startswith("0: ")
    return root


def live(store: Path, name: str) -> tuple[Path, Manifest]:
    models = ArtifactStore(store)
    version = models.current(name)
    return models.folder(name, version), models.manifest(name, version)


def rows_of(name: str, manifest: Manifest, digits: Digits) -> Tensor:
    if name == "digit":
        return torch.from_numpy(digits.images_u8)[:, None]
    if name == "pass":
        return torch.linspace(0, 12, 65)[:, None]
    return decode_tensor(manifest.check.inputs).repeat(7, 1, 1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_it_answers_as_its_torchscript_did(name: str, store: Path, digits: Digits) -> None:
    folder, manifest = live(store, name)
    rows = rows_of(name, manifest, digits)
    before = load(LIVE.folder(name, LIVE.current(name)), CPU, "float32")
    after = load(folder, CPU, "auto")
    expected, tolerance = before.predict(rows), manifest.check.tolerance
    torch.testing.assert_close(after.predict(rows), expected, atol=tolerance, rtol=0)
    alone = torch.cat([after.predict(row) for row in rows[:9].split(1)])
    torch.testing.assert_close(alone, expected[:9], atol=tolerance, rtol=0)
    assert after.explained
    assert {taken.way for taken in after.explained.taken} == {"onnxruntime"}


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_all_but_the_archive_and_its_forms(name: str, store: Path) -> None:
    folder, after = live(store, name)
    source = LIVE.folder(name, LIVE.current(name))
    before = LIVE.manifest(name, LIVE.current(name))
    own = {"version", "created_at", "format", "sha256", "size_bytes", "check", "forms"}
    assert after.model_dump(exclude=own) == before.model_dump(exclude=own)
    assert (after.format, after.version, after.forms) == ("onnx", before.version + 1, ())
    files = [{str(path.relative_to(one)) for path in one.rglob("*")} for one in (folder, source)]
    assert files[0] == files[1] - {"model.pt"} | {"model.onnx"}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_service_answers_as_it_does_from_torchscript(workers: str, store: Path, digits: Digits) -> None:
    images = [png(image) for image in digits.images_u8[:12]]
    answers = list[list[float]]()
    for options in (("--artifacts", str(store)), ("--precision", "float32")):
        with served(*options, "--workers", workers) as service:
            found = [asked(service.client, image) for image in images]
            found += [[row["probability"] for row in of_hours(service.client)]]
            answers.append([number for numbers in found for number in numbers])
            about = service.client.get("/models/digit").json()
            metadata = service.client.get("/v2/models/digit").json()
            config = service.client.get("/v2/models/digit/config").json()
            assert "copied" not in service.log.read_text()
        onnx = about["manifest"]["format"] == "onnx"
        assert onnx == ("--artifacts" in options)
        assert metadata["platform"] == ("onnxruntime_onnx" if onnx else "pytorch_torchscript")
        assert config["default_model_filename"] == ("model.onnx" if onnx else "model.pt")
        assert (about["engine"]["taken"][0]["way"] == "onnxruntime") == onnx
    assert answers[0] == pytest.approx(answers[1], abs=1e-4)


def asked(client: httpx.Client, image: bytes) -> list[float]:
    answer = client.post("/predict/digit", content=image, headers={"Content-Type": "image/png"})
    assert answer.status_code == 200
    found: list[float] = answer.json()["probabilities"]
    return found


def of_hours(client: httpx.Client) -> list[dict[str, float]]:
    answer = client.post("/predict/pass", json={"hours": HOURS})
    assert answer.status_code == 200
    found: list[dict[str, float]] = answer.json()["predictions"]
    return found


def test_it_is_computed_on_the_cpu_whatever_else_there_is(store: Path, digits: Digits) -> None:
    folder, _ = live(store, "digit")
    predictor = load(folder, torch.device("cuda"), "bfloat16")
    assert predictor.device == CPU
    rows = torch.from_numpy(digits.images_u8[:5])[:, None]
    torch.testing.assert_close(predictor.predict(rows), load(folder, CPU).predict(rows))


def test_a_network_is_published_as_onnx(tmp_path: Path, digits: Digits) -> None:
    for library in ("onnxruntime", "onnx", "onnxscript"):
        pytest.importorskip(library)
    rows = torch.from_numpy(digits.images_u8)[:, None]
    candidate = replace(digit_candidate(baseline_net(), rows[:10]), proof_rows=rows, format="onnx")
    manifest = publish(candidate, ArtifactStore(tmp_path))
    assert manifest.format == "onnx"
    answers = load(tmp_path / "digit" / "1", CPU).predict(rows)
    torch.testing.assert_close(answers, load(BASELINE, CPU).predict(rows), atol=1e-5, rtol=0)


def pretended(tmp_path: Path) -> Path:
    """The baseline, said to be ONNX."""
    shutil.copytree(BASELINE, tmp_path / "digit" / "1")
    version = tmp_path / "digit" / "1"
    (version / "model.pt").rename(version / "model.onnx")
    document = json.loads((version / "manifest.json").read_text())
    (version / "manifest.json").write_text(json.dumps(document | {"format": "onnx"}))
    (tmp_path / "digit" / "current").write_text("1\n")
    return version


def test_what_is_no_onnx_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(ArtifactError, match=r"digit/1: the model fails on its own check: .*protobuf"):
        load(pretended(tmp_path), CPU)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ArtifactError, match=r"digit/1 is ONNX, which needs .*abacus-serving\[onnx\]"):
        load(pretended(tmp_path), CPU)
    copy_of_live(tmp_path, "pass")
    said = convert_by_command(tmp_path, "pass")
    if "pip install" in said:  # whether onnx itself is there or not
        assert said.startswith("1: Error: ")


def test_only_torchscript_is_converted_or_recalibrated(tmp_path: Path) -> None:
    pretended(tmp_path)
    assert "digit/1 is onnx already: only TorchScript is converted" in convert_by_command(tmp_path, "digit")
    done = CliRunner().invoke(cli, ["recalibrate", "--out", str(tmp_path)])
    assert "digit/1 is onnx: take the version it was converted from" in done.stderr
    with pytest.raises(ArtifactError, match="only TorchScript"):
        convert(Publication(ArtifactStore(tmp_path)), "digit", 1, "onnx")
