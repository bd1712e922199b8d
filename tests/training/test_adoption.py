"""Models from elsewhere: a file that a user has becomes a version; what is no such file says what to do."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from service.app import create_app
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest
from service.engine.loading import load
from service.engine.ways import torchscript_accepted
from service.settings import Settings
from tests.conftest import CPU, ROOT, Digits, png, running
from training.adoption.examples import rows_in
from training.adoption.trying import what_answers_are
from training.adoption.wrapping import TableArchive
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


def test_a_picture_beside_the_subfolders_is_told(tmp_path: Path, out: Path) -> None:
    (tmp_path / "check" / "b").mkdir(parents=True)
    for name in ("b/1.png", "stray.png"):
        Image.new("RGB", (20, 20)).save(tmp_path / "check" / name)
    result = picture(
        "--check", str(tmp_path / "check"), out=out, file=saved(tmp_path / "net.pt", small_net())
    )
    assert (result.exit_code, "stray.png lies in no subfolder" in " ".join(result.output.split())) == (
        2,
        True,
    )
    assert not out.exists()


@pytest.mark.parametrize("size", [1e-4, 1.0])
def test_logits_of_any_size_are_told_from_probabilities(size: float) -> None:
    rows = torch.randn((8, 5), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        net = nn.Linear(5, 4)
        net.weight.mul_(size)
        net.bias.zero_()
    for module, expected in ((net, "logits"), (nn.Sequential(net, nn.Softmax(1)), "probabilities")):
        archive = TableArchive(module.eval(), "")
        with torch.inference_mode():
            assert what_answers_are(archive, rows, archive(rows), alone=False) == expected


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
    assert "its output is called 0; --labels FILE names it otherwise" in result.output
    async with running(create_app(Settings(artifacts=out))) as client:
        answer: httpx.Response = await client.post("/predict/area", json={"width": 1, "height": 2})
    with torch.inference_mode():
        expected = torch.jit.load(file)(torch.tensor([[1.0, 2.0]])).item()
    assert answer.json()["0"] == pytest.approx(expected, abs=1e-6)


class Scaled(nn.Module):
    def __init__(self, last: str) -> None:
        super().__init__()
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        answers = 0.01 * x[:, :1] + 0.5
        return answers.sigmoid() if self.last == "sigmoid" else answers


@pytest.mark.parametrize(("last", "yes", "no"), [("", "1", "0"), ("sigmoid", "y", "n"), ("", "T", "-1")])
def test_logits_that_look_like_probabilities_are_told_from_them(
    tmp_path: Path, out: Path, last: str, yes: str, no: str
) -> None:
    (tmp_path / "rows.csv").write_text(f"y,b,a\n{yes},7,1\n{no},7,2\n{yes},7,3\n")
    file = saved(tmp_path / "net.pt", Scaled(last))
    command = ("publish", str(file), "--kind", "table", "--name", "net", "--out", str(out))
    check = ("--check", str(tmp_path / "rows.csv"), "--target", "y", "--columns", "a,b")
    result = run(*command, *check, "--output", "binary", "--threshold", "0.55")
    assert result.exit_code == 0, result.output
    manifest = read_manifest(out / "net" / "1")
    assert [column.name for column in manifest.input.columns] == ["a", "b"]  # type: ignore[union-attr]
    assert manifest.metric("accuracy", "other").value == pytest.approx(2 / 3)
    rows = torch.tensor([[1.0, 7.0], [3.0, 7.0]])
    answers = load(ArtifactStore(out).folder("net", 1), CPU).predict(rows)
    torch.testing.assert_close(answers, (0.01 * rows[:, :1] + 0.5).sigmoid())


def test_columns_that_are_not_asked_for_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"  # as a data frame is written, with the numbers of its rows
    notes = "".join(f"{i},note {i},{1234567 + i},7,{i}\n" for i in range(1_001))
    path.write_text(f",note,y,b,a\n{notes}1001,{'x' * 201},0.25,7,1\n")
    columns, (rows, labels) = rows_in(path, "y", ["a", "b"])
    assert [column.name for column in columns] == ["a", "b"]
    assert rows[[0, 2, -1]].tolist() == [[0, 7], [2, 7], [1, 7]]
    assert labels
    assert (labels[1], labels[-1]) == ("1234568", "0.25")
    path.write_text(",b,a\n0,7,1\n1,7,2\n")
    assert [column.name for column in rows_in(path, None).columns] == ["b", "a"]


class Argmax(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)).argmax(dim=1)


class Sigmoids(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)).sigmoid()


class Infinite(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 0 / 0).mean(dim=(2, 3))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean(dim=(2, 3)), x


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.dropout(x.mean(dim=(2, 3)), 0.5, True)


class Mixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)) - x.mean()


class Asserting(nn.Module):
    """What TorchScript raises for it is no RuntimeError."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.size(0) == 1, "one row at a time"
        return x.flatten(1)[:, :3]


class AFewRows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) > 63:
            raise ValueError("63 rows at the most")
        return x.flatten(1)[:, :3]


class Sparse(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)).to_sparse()


class Complex(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        spectrum: Tensor = torch.fft.fft(x.mean(dim=(2, 3)))
        return spectrum


class WholeNumbers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(x)
        return embedded.mean((1, 2, 3))


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
        (
            Asserting(),
            "fails on float32 [4, 3, 16, 16]: AssertionError: one row at a time; a row alone it answers",
        ),
        (WholeNumbers(), "fails on float32 [4, 3, 16, 16]: Expected tensor for argument #1 'indices'"),
        (Argmax(), "--output numbers"),
        (Sigmoids(), "do not sum to 1"),
        (Sparse(), "complex, sparse or quantized numbers"),
        (Complex(), "complex, sparse or quantized numbers"),
        (Infinite(), "no finite number"),
        (small_net(1), "--output binary"),
        (nn.Sequential(nn.Conv2d(3, 4, 20)), "Kernel size can't be greater"),
        (nn.Sequential(nn.Conv2d(1, 4, 3)), "to have 1 channels, but got 3"),
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
    assert not out.exists()


def test_a_net_that_was_traced_with_one_row_is_told_whatever_it_is_tried_on(
    tmp_path: Path, out: Path
) -> None:
    net = nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (1, 768)), nn.Linear(768, 2))
    file = saved(tmp_path / "net.pt", net, torch.rand(1, 3, 16, 16))
    (tmp_path / "check").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "check" / "one.png")
    for check in ((), ("--check", str(tmp_path / "check"))):
        result = picture(*check, out=out, file=file)
        assert (result.exit_code, "example of 2 rows" in " ".join(result.output.split())) == (2, True)


def test_an_operator_of_another_library_is_told(tmp_path: Path, out: Path) -> None:
    file, other = saved(tmp_path / "net.pt", Sigmoids()), tmp_path / "other.pt"
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(other, "w") as target:
        for record in source.infolist():
            content = source.read(record)
            if record.filename.endswith(".py"):
                content = content.replace(b"torch.sigmoid", b"ops.torchvision.nms")
            target.writestr(record.filename, content)
    result = picture(out=out, file=other)
    assert (result.exit_code, "torchvision::nms" in result.output) == (2, True), result.output
    assert "library beside PyTorch" in " ".join(result.output.split())


class RaisesWhenLoaded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :3]

    @torch.jit.export
    def __getstate__(self) -> tuple[Tensor, bool]:
        return torch.zeros(1), False

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, bool]) -> None:
        self.training = state[1]
        raise ValueError("not to be loaded")


def test_a_net_that_raises_when_it_is_loaded_is_told(tmp_path: Path, out: Path) -> None:
    result = picture(out=out, file=saved(tmp_path / "net.pt", RaisesWhenLoaded()))
    assert (result.exit_code, "cannot be loaded: not to be loaded" in result.output) == (2, True)


def test_a_damaged_file_is_told(tmp_path: Path, out: Path) -> None:
    file = saved(tmp_path / "net.pt", Sigmoids())
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole.replace(b"torch.sigmoid", b"torch.xigmoid")):
        file.write_bytes(damaged)
        result = picture(out=out, file=file)
        assert result.exit_code == 2, result.output
        assert result.output.splitlines()[-1].startswith("Error: ")


WRONG_OPTIONS = [
    (("--resize-to", "8"), "--resize-to 8 is less"),
    (("--resize-to", "9999"), "2048"),
    (("--mean", "0.5"), "--std is missing"),
    (("--std", "1"), "--mean is missing"),
    (("--mean", "nan", "--std", "1"), "--mean 'nan'"),
    (("--mean", "127.5", "--std", "127.5"), "divide both --mean and --std by 255"),
    (("--mean", "0", "--std", "255"), "--std '255' is more than 1"),
    (("--columns", "a,b"), "--columns says nothing of --kind picture"),
    (("--target", "y"), "--target says nothing of --kind picture"),
    (("--threshold", "0.5"), "--threshold says nothing of --output classes"),
    (("--units", "EUR"), "--units says nothing of --output classes"),
    (("--output", "numbers", "--scores", "logits"), "--scores says nothing of --output numbers"),
    (("--resize", "stretch", "--resize-to", "20"), "--resize-to says nothing of --resize stretch"),
    (("--labels", "twice.txt"), "line 3: 'crane' stands in line 1 too"),
    (("--labels", "long.txt"), "200 characters"),
    (("--labels", "latin.txt"), "not UTF-8"),
    (("--labels", "empty.txt"), "names nothing"),
    (("--name", "stats"), "--name 'stats' is none for a model: /v2/models/stats"),
    (("--name", "Net"), "--name 'Net' is none for a model"),
]


@pytest.mark.parametrize(("options", "problem"), WRONG_OPTIONS, ids=lambda value: str(value)[:30])
def test_what_is_said_wrongly_of_pictures_is_told_in_a_line(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("twice.txt").write_text("crane\nheron\ncrane\n")
    Path("long.txt").write_text("a" * 300 + "\nb\nc\n")
    Path("latin.txt").write_bytes(b"caf\xe9\nb\nc\n")
    Path("empty.txt").write_text("\n \n")
    result = picture(*options, out=out, file=saved(tmp_path / "net.pt", small_net()))
    assert (result.exit_code, problem in " ".join(result.output.split())) == (2, True), result.output
    assert not out.exists()


WRONG_TABLES = [
    (("--columns", "a,a"), "names 'a' twice"),
    (("--columns", "a,,b"), "has a name that is empty"),
    (("--columns", "a,b,"), "has a name that is empty"),
    (("--columns", "a,b", "--size", "3"), "--size says nothing of --kind table"),
    (("--columns", "a,b", "--channels", "3"), "--channels says nothing of --kind table"),
    (("--columns", "a,b", "--target", "y"), "column of --check, which is missing"),
    (("--columns", "a,b", "--labels", "model.txt"), "an answer would have model twice"),
    (("--columns", ",".join(f"c{i}" for i in range(1_001))), "at most 1000"),
    (("--columns", "a," + "b" * 201), "200 characters"),
    (("--columns", "a,b,c"), "shapes cannot be multiplied"),
    (("--check", "missing.csv"), "column a: a number is missing"),
    (("--check", "text.csv"), "column a: it holds text"),
    (("--check", "empty.csv"), "no rows"),
    (("--check", "missing.csv", "--target", "y"), "no column 'y'"),
    (("--check", "missing.csv", "--columns", "b,c"), "no column 'c'"),
    (("--check", "many.csv"), "line 2, column a: 't0' is no number, and there are more than 1,000"),
    (("--check", "many.csv", "--columns", "b", "--target", "a"), "column a: 't0' is no number"),
    (("--check", "long.csv"), "column a: a text has more than 200 characters"),
    (("--check", "nameless.csv"), "has no column that has a name"),
]


@pytest.mark.parametrize(("options", "problem"), WRONG_TABLES, ids=lambda value: str(value)[:30])
def test_and_of_tables(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("missing.csv").write_text("a,b\n1,2\n,3\n")
    Path("text.csv").write_text("a,b\nx,2\ny,3\n")
    Path("empty.csv").write_text("a,b\n")
    Path("many.csv").write_text("a,b\n" + "".join(f"t{i},2\n" for i in range(1_001)))
    Path("long.csv").write_text(f"a,b\n{'x' * 201},2\n")
    Path("nameless.csv").write_text(",\n1,2\n")
    Path("model.txt").write_text("model\n")
    file = saved(tmp_path / "net.pt", nn.Linear(2, 1))
    command = ("publish", str(file), "--kind", "table", "--name", "net", "--out", str(out))
    result = run(*command, *options, "--output", "numbers")
    assert (result.exit_code, problem in " ".join(result.output.split())) == (2, True), result.output
    assert not out.exists()


@pytest.mark.parametrize(("kind", "code"), [("picture", 1), ("table", 2)])
def test_a_net_that_answers_fewer_rows_than_are_computed_at_once_is_told(
    tmp_path: Path, out: Path, kind: str, code: int
) -> None:
    file = saved(tmp_path / "net.pt", AFewRows())
    reads = ("--size", "16") if kind == "picture" else ("--columns", "a,b,c")
    result = run("publish", str(file), "--kind", kind, "--name", "net", "--out", str(out), *reads)
    assert (result.exit_code, "63 rows at the most" in " ".join(result.output.split())) == (code, True)
    assert result.output.splitlines()[-1].startswith("Error: ")
    assert not out.exists()


class ReadsRows(nn.Module):
    """Of its input what it has made of it in place."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sub_(0.5).mul_(3).relu_()


@pytest.mark.parametrize("trace", [False, True])
def test_a_net_that_writes_to_its_input_answers_as_it_does_elsewhere(
    tmp_path: Path, out: Path, trace: bool
) -> None:
    rows = torch.rand(4, 2)
    file = saved(tmp_path / "net.pt", ReadsRows(), rows.clone() if trace else None)
    command = ("publish", str(file), "--kind", "table", "--name", "net", "--out", str(out))
    result = run(*command, "--columns", "a,b", "--output", "numbers")
    assert result.exit_code == 0, result.output
    predictor = load(ArtifactStore(out).folder("net", 1), CPU)
    torch.testing.assert_close(predictor.predict(rows.clone()), ((rows - 0.5) * 3).relu())


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
        "def needs(classes):\n"
        "    return make()\n"
        "def fails():\n"
        "    raise KeyError('x')\n"
        "class OfItsOwn(Exception):\n"
        "    pass\n"
        "def fails_otherwise():\n"
        "    raise OfItsOwn('no weights here')\n"
        "class Keywords(nn.Module):\n"
        "    def forward(self, x, **others):\n"
        "        return x.mean((2, 3))\n"
    )
    (tmp_path / "broken.py").write_text("def (:\n")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    parallel = {f"module.{name}": value for name, value in net.state_dict().items()}
    lightning = {f"net._orig_mod.{name}": value for name, value in net.state_dict().items()}
    for name, checkpoint in {
        "checkpoint.pt": {"epoch": 3, "state_dict": parallel, "ema": net.state_dict()},
        "compiled.pt": {f"_orig_mod.{name}": value for name, value in net.state_dict().items()},
        "lightning.ckpt": {"state_dict": {**lightning, "loss.weight": torch.ones(2)}, "loops": {"a": 1}},
        "own.pt": {"net": net.state_dict(), "optimizer": {"state": {0: {"step": torch.ones(1)}}}},
        "twice.pt": {"ema": net.state_dict(), "average": parallel},
        "list.pt": [torch.ones(2)],
    }.items():
        torch.save(checkpoint, tmp_path / name)
    (tmp_path / "empty.pt").write_bytes(b"")
    whole = (tmp_path / "weights.pt").read_bytes()
    (tmp_path / "directory.pt").write_bytes(whole.replace(b"PK\1\2", b"PK\0\0"))
    torch.save(net, tmp_path / "whole.pt")
    torch.save(small_net().state_dict(), tmp_path / "other.pt")
    (tmp_path / "w.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    result = run("export", "my_nets:make", "--weights", "weights.pt", "--output", "net.pt")
    assert result.exit_code == 0, result.output
    assert "python -m training publish net.pt" in " ".join(result.output.split())
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(torch.jit.load("net.pt")(images), net(images))
    assert picture(out=out, file=tmp_path / "net.pt").exit_code == 0
    for weights, problem in (
        ("whole.pt", "holds more than tensors"),
        ("other.pt", "Missing key(s)"),
        ("w.safetensors", "torch.save"),
        ("net.pt", "is TorchScript"),
        ("twice.pt", "fit more than once: average.module, ema"),
        ("empty.pt", "no state dict: EOFError"),
        ("directory.pt", "no state dict: RuntimeError"),
        ("list.pt", "holds a list"),
    ):
        result = run("export", "my_nets:make", "--weights", weights, "--output", "no.pt")
        assert (result.exit_code, problem in " ".join(result.output.split())) == (2, True), result.output
    for weights in ("checkpoint.pt", "compiled.pt", "lightning.ckpt", "own.pt"):
        result = run("export", "my_nets:make", "--weights", weights, "--output", "same.pt")
        assert result.exit_code == 0, result.output
        torch.testing.assert_close(torch.jit.load("same.pt")(images), net(images))
    result = run("export", "my_nets:Keywords", "--size", "16", "--output", "traced.pt")
    assert (result.exit_code, "traced instead" in result.output) == (0, True), result.output
    for module, problem in (
        ("my_nets:Keywords", "give --size or --columns"),
        ("my_nets:needs", "missing 1 required positional argument"),
        ("my_nets:fails", "KeyError"),
        ("my_nets:fails_otherwise", "OfItsOwn: no weights here"),
        ("broken:make", "SyntaxError"),
        (".my_nets:make", "cannot be imported"),
        ("my_nets", "MODULE:CALLABLE"),
        ("my_nets:nothing", "cannot be imported"),
        ("no_nets:make", "cannot be imported"),
        ("my_nets:number", "makes a int"),
    ):
        result = run("export", module, "--output", "no.pt")
        assert (result.exit_code, problem in " ".join(result.output.split())) == (2, True), result.output
    assert not (tmp_path / "no.pt").exists()


@pytest.mark.parametrize(
    "reads", [("--size", "16", "--channels", "1"), ("--size", "16"), ("--columns", "3")]
)
def test_the_command_that_export_shows_publishes_what_it_made(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, reads: tuple[str, ...]
) -> None:
    inputs = {"1": 256, "16": 768, "3": 3}[reads[-1]]
    make = f"def make():\n    return nn.Sequential(nn.Flatten(), nn.Linear({inputs}, 2))\n"
    (tmp_path / f"net_of_{inputs}.py").write_text(f"from torch import nn\n{make}")
    monkeypatch.chdir(tmp_path)
    made = run("export", f"net_of_{inputs}:make", *reads, "--output", "net.pt")
    assert made.exit_code == 0, made.output
    shown = " ".join(made.output.split()).partition("next: python -m training ")[2]
    result = run(*shown.replace("NAMES", "a,b,c").replace("NAME", "net").split(), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "Published net version 1" in result.output.splitlines()  # and no table without a figure
    assert read_manifest(out / "net" / "1").name == "net"


def test_a_disk_that_is_full_takes_nothing_of_a_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text("from torch import nn\ndef make():\n    return nn.Linear(500, 2)\n")
    (tmp_path / "net.pt").write_text("there before")
    command = [sys.executable, "-m", "training", "export", "my_net:make", "--output", "net.pt"]
    result = subprocess.run(
        ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (result.returncode, "net.pt cannot be written" in result.stderr) == (2, True), result.stderr
    assert (tmp_path / "net.pt").read_text() == "there before"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["my_net.py", "net.pt"]
