"""Files of torch.export: what is read answers as its module, what is hostile never runs."""

import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from service.app import create_app
from service.artifacts.store import ArtifactStore
from service.engine.loading import load
from service.settings import Settings
from tests.conftest import CPU, png, running
from training.adoption.torchscript_file import read_file
from training.commands import cli

AUTO = torch.export.Dim.AUTO
PROGRAM, WEIGHTS = "net/models/model.json", "net/data/weights/model_weights_config.json"
Change = Callable[[dict[str, Any]], object]


def exported(path: Path, module: nn.Module, *example: Tensor | float, open_sizes: Any = None) -> Path:
    """Any number of rows, unless `open_sizes` says what else is."""
    shapes = tuple({0: AUTO} for _ in example) if open_sizes is None else open_sizes
    torch.export.save(torch.export.export(module.eval(), example, dynamic_shapes=shapes), path)
    return path


def changed(path: Path, **records: Change) -> Path:
    """With `program` or `weights`, its JSON, changed in place."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    for which, change in records.items():
        name = PROGRAM if which == "program" else WEIGHTS
        content = json.loads(contents[name])
        change(content)
        contents[name] = json.dumps(content).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def table(file: Path, out: Path, columns: str = "a,b,c,d", *options: str) -> Result:
    words = ["publish", str(file), "--kind", "table", "--name", "net", "--out", str(out), *options]
    return CliRunner().invoke(cli, [*words, "--columns", columns])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(1, 8, num_layers=2, batch_first=True)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        answers: Tensor = self.last(self.cells(x.unsqueeze(-1))[0][:, -1])
        return answers


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.place = nn.Parameter(torch.rand(1, 4, 16))
        self.register_buffer("mask", torch.full((4, 4), float("-inf")).triu(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        answers: Tensor = self.layer(x[..., None] + self.place, src_mask=self.mask, is_causal=False).mean(1)
        return answers


class OfSizes(nn.Module):
    """Computes with the number of rows, indexes, splits, converts."""

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        n, columns = x.shape
        y = x.reshape(n * columns // 2, 2).sum(1).view(n, -1)
        y = torch.cat([y, x.new_zeros(n, 2), torch.ones(n, 1)], 1)
        y = torch.where(y > 0.5, y, torch.zeros_like(y)).to(torch.float64).float() * torch.tensor(2.0)
        left, right = y.split([2, 3], 1)
        most, at = y.max(1, keepdim=True)
        picked = y[torch.arange(n), at[:, 0]].unsqueeze(1)
        square = torch.einsum("ij,ij->i", y, y)[:, None]
        return torch.cat([left, right, most, picked, square, y.std(1, keepdim=True), y.clamp(0, 1) ** 2], 1)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        answers: Tensor = self.two(self.one(x))
        return answers


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.GELU("tanh"), nn.Dropout(), nn.LayerNorm(8), nn.Linear(8, 3))


def convolutions() -> nn.Module:
    layers: list[nn.Module] = [
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


@pytest.mark.parametrize(
    ("make", "row"),
    [
        (perceptron, [4]),
        (convolutions, [1, 12, 12]),
        (Recurrent, [4]),
        (Attending, [4]),
        (OfSizes, [4]),
        (Tied, [4]),
    ],
)
def test_it_answers_as_its_module_does(
    tmp_path: Path, make: Callable[[], nn.Module], row: list[int]
) -> None:
    torch.manual_seed(0)
    module = make()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The tensor attributes self.cells._flat_weights")  # of an LSTM
        file = exported(tmp_path / "net.pt2", module, torch.rand(4, *row))  # as many rows as columns
    net, reads = read_file(file, "net.pt2")
    assert str(reads) == str(row)
    for rows in (1, 3, 64):
        x = torch.randn(rows, *row)
        with torch.inference_mode():
            torch.testing.assert_close(net(x.clone()), module(x), atol=1e-6, rtol=1e-5)


async def test_a_net_of_pictures_is_published_and_served(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, out = convolutions(), tmp_path / "models"
    file = exported(tmp_path / "net.pt2", module, torch.rand(2, 1, 12, 12))
    words = ["publish", str(file), "--kind", "picture", "--name", "net", "--out", str(out)]
    done = CliRunner().invoke(cli, [*words, "--size", "12", "--channels", "1"])
    assert done.exit_code == 0, done.output
    pixels = np.random.default_rng(0).integers(0, 256, (1, 12, 12), np.uint8)
    async with running(create_app(Settings(artifacts=out))) as client:
        answer = (await client.post("/predict/net", files={"file": png(pixels[0])})).json()
    with torch.inference_mode():
        (expected,) = module(torch.from_numpy(pixels)[None].float() / 255).softmax(1).tolist()
    assert {one["label"]: one["probability"] for one in answer["top"]} == pytest.approx(
        dict(zip("012", expected, strict=True)), abs=1e-5
    )
    assert "Published from a file of torch.export" in (out / "net/1/report/report.md").read_text()
    rows = torch.from_numpy(pixels)[None].repeat(5, 1, 1, 1)
    answers = load(ArtifactStore(out).folder("net", 1), CPU).predict(rows)
    torch.testing.assert_close(answers, torch.tensor([expected]).expand(5, -1), atol=1e-5, rtol=1e-4)


class Looks(nn.Module):
    """At how many rows there are."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.shape[0] % 2 == 0 else x * 3


class Chooses(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        answers: Tensor = torch.cond(x.sum() > 0, lambda y: y * 2, lambda y: y * 3, (x,))
        return answers


class Pair(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Scaled(nn.Module):
    def forward(self, x: Tensor, factor: float) -> Tensor:
        return x * factor


class Twice(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x + 1


LINEAR = nn.Linear(4, 3)


@pytest.mark.parametrize(
    ("module", "example", "open_sizes", "words"),
    [
        (LINEAR, [torch.rand(1, 4)], None, "reads 1 row at once, no more or less: torch.export keeps"),
        (LINEAR, [torch.rand(5, 4)], ({},), "reads 5 rows at once, no more or less"),
        (
            LINEAR,
            [torch.rand(5, 4)],
            ({0: torch.export.Dim("n", max=64)},),
            "reads 0 to 64 rows at once, and has to",
        ),
        (Looks(), [torch.rand(4, 4)], None, "is right for some sizes of its input alone"),
        (Chooses(), [torch.rand(4, 4)], None, "calls 'torch.ops.higher_order.cond'"),
        (Pair(), [torch.rand(3, 4)] * 2, None, "reads 2 inputs; pictures, or rows of a table, are one"),
        (Scaled(), [torch.rand(3, 4), 0.5], ({0: AUTO}, None), "reads 2 inputs; pictures, or rows"),
        (Twice(), [torch.rand(3, 4)], None, "answers 2 values"),
        (
            nn.Embedding(4, 3),
            [torch.zeros(3, 4, dtype=torch.int64)],
            None,
            "reads int64; it is given float32: wrap",
        ),
        (
            nn.Linear(4, 3).double(),
            [torch.zeros(3, 4).double()],
            None,
            "reads float64; it is given float32: export `net.float()`",
        ),
    ],
)
def test_what_cannot_be_served_is_one_line(
    tmp_path: Path, module: nn.Module, example: list[Tensor | float], open_sizes: Any, words: str
) -> None:
    file = exported(tmp_path / "net.pt2", module, *example, open_sizes=open_sizes)
    done = table(file, tmp_path / "models")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"{file} {words}" in done.stderr
    assert not (tmp_path / "models").exists()


def test_rows_of_another_size_are_refused(tmp_path: Path) -> None:
    file = exported(tmp_path / "net.pt2", LINEAR, torch.rand(3, 4))
    done = table(file, tmp_path / "models", "a,b,c")
    assert done.exit_code == 2
    assert "the module reads rows of [4], and is given [3]: --columns" in done.stderr


def set_first(content: dict[str, Any], key: str, value: object) -> None:
    """Of the first call."""
    content["graph_module"]["graph"]["nodes"][0][key] = value


def rename_argument(content: dict[str, Any], name: str) -> None:
    content["graph_module"]["graph"]["nodes"][0]["inputs"][0]["name"] = name


def evil(content: dict[str, Any]) -> None:
    """In each place that torch.export.load, or the module that it makes, evaluates."""
    text = "__import__('os').putenv('RAN', '1') or __import__('os').environ.update(RAN='1')"
    content["guards_code"] = [text]
    for meta in content["graph_module"]["graph"]["tensor_values"].values():
        for size in meta["sizes"]:
            if "as_expr" in size:
                size["as_expr"]["expr_str"] = text


def no_guards(content: dict[str, Any]) -> None:
    del content["guards_code"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (evil, "reads sizes that follow from each other"),
        (
            lambda c: c.update(guards_code=["__import__('os')"]),
            "is right for some sizes of its input alone",
        ),
        (lambda c: set_first(c, "target", "torch.hub.load"), "calls 'torch.hub.load'"),
        (lambda c: set_first(c, "target", "torch.ops.aten.save.default"), "none of PyTorch's operators"),
        (
            lambda c: set_first(c, "target", "torch.ops.aten.from_file.default"),
            "none of PyTorch's operators",
        ),
        (
            lambda c: set_first(c, "target", "torch.ops.aten.__class__.default"),
            "none of PyTorch's operators",
        ),
        (lambda c: rename_argument(c, "input=print(1), x"), "is damaged: its graph: ValueError"),
        (lambda c: rename_argument(c, "inputs"), "cannot be written in TorchScript"),
        (lambda c: set_first(c, "inputs", [{"name": "input"}]), "is damaged: graph_module.graph.nodes.0"),
        (lambda c: c["schema_version"].update(major=9), "has schema 9."),
        (no_guards, "was written by an older PyTorch"),
    ],
)
def test_nothing_in_a_file_runs(tmp_path: Path, change: Change, words: str) -> None:
    file = changed(exported(tmp_path / "net.pt2", LINEAR, torch.rand(3, 4)), program=change)
    done = table(file, tmp_path / "models")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert words in done.stderr
    assert "RAN" not in os.environ


def test_what_is_pickled_in_it_is_refused(tmp_path: Path) -> None:
    def pickled(content: dict[str, Any]) -> None:
        content["config"]["weight"]["use_pickle"] = True

    file = changed(exported(tmp_path / "net.pt2", LINEAR, torch.rand(3, 4)), weights=pickled)
    done = table(file, tmp_path / "models")
    assert done.exit_code == 2
    assert "holds 'weight' as a pickle, which could run anything" in done.stderr


def test_a_weight_larger_than_what_is_stored_is_refused(tmp_path: Path) -> None:
    def larger(content: dict[str, Any]) -> None:
        content["config"]["weight"]["tensor_meta"]["sizes"][0]["as_int"] = 10**12

    file = changed(exported(tmp_path / "net.pt2", LINEAR, torch.rand(3, 4)), weights=larger)
    done = table(file, tmp_path / "models")
    assert done.exit_code == 2
    assert "'weight' has 4,000,000,000,000 numbers, and 12 are stored" in done.stderr


@pytest.mark.parametrize("part", [0.02, 0.5, 0.999])
def test_a_damaged_file_is_one_line(tmp_path: Path, part: float) -> None:
    file = exported(tmp_path / "net.pt2", LINEAR, torch.rand(3, 4))
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])
    done = table(file, tmp_path / "models")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"{file} is damaged" in done.stderr


def test_older_files_and_compiled_ones_are_told_apart(tmp_path: Path) -> None:
    for name, words in (
        ("model/data/aotinductor/model/a.so", "holds compiled machine code (AOTInductor)"),
        ("serialized_exported_program.json", "was written by an older PyTorch, whose files hold pickles"),
    ):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("model/archive_format", "pt2")
            archive.writestr(name, b"")
        (tmp_path / "net.pt").write_bytes(data.getvalue())  # whatever it is called
        done = table(tmp_path / "net.pt", tmp_path / "models")
        assert done.exit_code == 2
        assert words in done.stderr
