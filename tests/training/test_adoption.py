"""Models from elsewhere: a file that a user has becomes a version; what is no such file says what to do."""

from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from service.app import create_app
from service.artifacts.store import ArtifactStore, read_manifest
from service.engine.predictor import load, torchscript_accepted
from service.settings import Settings
from tests.conftest import CPU, Digits, png, running
from training.commands import cli


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def small_net(outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, outputs)
    )


def saved(path: Path, module: nn.Module, example: Tensor | None = None) -> Path:
    with torchscript_accepted():
        made = torch.jit.script(module) if example is None else torch.jit.trace(module, example)
        torch.jit.save(made, path)
    return path


def picture(*arguments: str, out: Path, file: Path) -> Result:
    command = ("publish", str(file), "--kind", "picture", "--name", "net", "--out", str(out))
    return run(*command, "--size", "16", *arguments)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


def test_a_picture_classifier_is_served_in_one_command(tmp_path: Path, out: Path) -> None:
    pictures = tmp_path / "check" / "b"
    pictures.mkdir(parents=True)
    random = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(random.integers(0, 256, (40, 30, 3), np.uint8)).save(pictures / f"{i}.jpg")
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    net = small_net().eval()
    file = saved(tmp_path / "net.pt", net)
    labels = ("--labels", str(tmp_path / "labels.txt"))
    result = picture("--check", str(tmp_path / "check"), *labels, out=out, file=file)
    assert result.exit_code == 0, result.output
    assert "logits" in result.output
    manifest = read_manifest(out / "net" / "1")
    assert (manifest.kind, manifest.training, manifest.output.labels) == ("picture", None, ("a", "b", "c"))
    assert manifest.metric("accuracy", "other").n == 3
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.inference_mode():
        expected = net((images.float() / 255 - mean) / std).softmax(1)
    answers = load(ArtifactStore(out).folder("net", 1), CPU).predict(images)
    torch.testing.assert_close(answers, expected, atol=1e-5, rtol=1e-4)


async def test_and_answers_over_http(tmp_path: Path, out: Path, digits: Digits) -> None:
    result = picture("--mean", "0.5", "--std", "0.5", out=out, file=saved(tmp_path / "net.pt", small_net()))
    assert result.exit_code == 0, result.output
    async with running(create_app(Settings(artifacts=out))) as client:
        answer = await client.post("/predict/net", files={"file": png(digits.images_u8[0])})
        wrong = await client.post("/predict/net?top=0", files={"file": png(digits.images_u8[0])})
        models = (await client.get("/models/net")).json()
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["label"] in ("0", "1", "2")
    assert sum(one["probability"] for one in body["top"]) == pytest.approx(1, abs=1e-5)
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "top")
    assert models["manifest"]["training"] is None


async def test_a_table_is_served_by_its_columns(tmp_path: Path, out: Path) -> None:
    torch.manual_seed(0)
    file = saved(tmp_path / "net.pt", nn.Sequential(nn.Linear(2, 1)))
    command = ("publish", str(file), "--kind", "table", "--name", "area", "--out", str(out))
    result = run(*command, "--columns", "width,height", "--output", "numbers")
    assert result.exit_code == 0, result.output
    async with running(create_app(Settings(artifacts=out))) as client:
        answer: httpx.Response = await client.post("/predict/area", json={"width": 1, "height": 2})
    with torch.inference_mode():
        expected = torch.jit.load(file)(torch.tensor([[1.0, 2.0]])).item()
    assert answer.json()["0"] == pytest.approx(expected, abs=1e-6)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean(dim=(2, 3)), x


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.dropout(x.mean(dim=(2, 3)), 0.5, True)


class Mixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)) - x.mean()


class FixedBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(1, -1)[:, :3].softmax(1)


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        (Pair(), "answers a tuple"),
        (Noisy(), "differently each time"),
        (Mixed(), "differently in a batch"),
        (FixedBatch(), r"answers [1, 3] to [4, 3, 16, 16]"),
        (nn.Sequential(nn.Conv2d(3, 4, 20)), "fails on"),
        (nn.Sequential(nn.Conv2d(3, 4, 3)), "answers [4, 4, 14, 14]"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_served_is_told_before(
    tmp_path: Path, out: Path, module: nn.Module, problem: str
) -> None:
    result = picture(out=out, file=saved(tmp_path / "net.pt", module))
    assert result.exit_code == 2
    assert problem in " ".join(result.output.split())
    assert not (out / "net" / "1").exists()


def test_a_wrong_number_of_labels_is_told(tmp_path: Path, out: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\n")
    labels = ("--labels", str(tmp_path / "labels.txt"))
    result = picture(*labels, out=out, file=saved(tmp_path / "net.pt", small_net()))
    assert (result.exit_code, "2 labels for 3 outputs" in result.output) == (2, True)


def others(folder: Path) -> dict[str, Path]:
    """Files that are no TorchScript, as their writers leave them."""
    torch.save(small_net().state_dict(), folder / "state.pt")
    torch.save(small_net(), folder / "module.pt")
    torch.save(small_net().state_dict(), folder / "old.pt", _use_new_zipfile_serialization=False)
    (folder / "net.onnx").write_bytes(b"\x08\x08onnx")
    (folder / "net.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (folder / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (folder / "text.pt").write_text("a net")
    (folder / "empty.pt").write_bytes(b"")
    return {path.stem: path for path in folder.iterdir()}


def test_what_is_no_torchscript_says_what_to_do(tmp_path: Path, out: Path) -> None:
    for path in others(tmp_path).values():
        result = picture(out=out, file=path)
        assert result.exit_code == 2, path
        assert "python -m training export" in " ".join(result.output.split())
        assert "Traceback" not in result.output
    assert picture(out=out, file=tmp_path / "nowhere.pt").exit_code == 2


def test_a_module_is_exported_and_its_weights_are_read(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_nets.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))\n"
        "def number():\n"
        "    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    result = run("export", "my_nets:make", "--weights", "weights.pt", "--output", "net.pt")
    assert result.exit_code == 0, result.output
    assert "python -m training publish net.pt" in " ".join(result.output.split())
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(torch.jit.load("net.pt")(images), net(images))
    assert picture(out=out, file=tmp_path / "net.pt").exit_code == 0
    for module, problem in (
        ("my_nets", "MODULE:CALLABLE"),
        ("my_nets:nothing", "cannot be imported"),
        ("no_nets:make", "cannot be imported"),
        ("my_nets:number", "makes a int"),
    ):
        result = run("export", module, "--output", "other.pt")
        assert (result.exit_code, problem in " ".join(result.output.split())) == (2, True), result.output
    assert not (tmp_path / "other.pt").exists()
