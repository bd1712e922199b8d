"""Archives whose code may reach files are not loaded, and those of nets that are served are."""

import importlib
import io
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from service.artifacts.manifest import ArtifactError, Manifest
from service.engine.loading import Artifact, prepare
from service.engine.torchscript import FILE_OPERATORS, code_problem, load_archive
from service.engine.ways import torchscript_accepted
from tests.conftest import COMMITTED, CPU, ROOT
from training.commands import cli


class Writes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, "written")
        return x


class Reads(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_file("read", False, 4, dtype=torch.uint8) + x


class WritesWhenLoaded(nn.Module):
    """By `__setstate__`, which is called before anybody has the module."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        torch.save(self.path, self.path)


class Harmless(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 2), nn.ReLU())

    def forward(self, saved: Tensor) -> Tensor:
        return self.layers(saved)  # type: ignore[no-any-return]


def archive_of(module: nn.Module) -> bytes:
    buffer = io.BytesIO()
    with torchscript_accepted():
        torch.jit.save(torch.jit.script(module), buffer)
    return buffer.getvalue()


def with_records(archive: bytes, contents: dict[str, bytes]) -> bytes:
    """These behind the others, or in place of those of the same name in whatever case."""
    altered, replaced = io.BytesIO(), {name.lower() for name in contents}
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(altered, "w") as target:
        for name in source.namelist():
            root, _, within = name.partition("/")
            if within.lower() not in replaced:
                target.writestr(name, source.read(name))
        for within, content in contents.items():
            target.writestr(f"{root}/{within}", content)
    return altered.getvalue()


PLAIN = archive_of(Harmless())
CODE = f"code/__torch__/{Path(__file__).relative_to(ROOT).as_posix()}"


def doing(statement: str, record: str = CODE) -> bytes:
    """An archive whose `forward` does this first."""
    with zipfile.ZipFile(io.BytesIO(PLAIN)) as source:
        code = source.read(f"{source.namelist()[0].partition('/')[0]}/{CODE}").decode()
    head, forward, body = code.partition("saved: Tensor) -> Tensor:\n")
    assert forward
    return with_records(PLAIN, {record: f"{head}{forward}    {statement}\n{body}".encode()})


@pytest.mark.parametrize(("module", "name"), [(Writes(), "save"), (Reads(), "from_file")])
def test_code_that_reaches_files_is_refused(module: nn.Module, name: str) -> None:
    with pytest.raises(ValueError, match=f"its code .* has '{name}' in it"):
        load_archive(archive_of(module))


def test_it_is_refused_before_any_of_it_is_run(tmp_path: Path) -> None:
    written = tmp_path / "written"
    archive = archive_of(WritesWhenLoaded(str(written)))
    with torchscript_accepted():
        torch.jit.load(io.BytesIO(archive))
    assert written.exists(), "the control: torch runs it"
    written.unlink()
    with pytest.raises(ValueError, match="has 'save' in it"):
        load_archive(archive)
    assert not written.exists()


@pytest.mark.parametrize(
    ("statement", "record"),
    [
        ('torch.save(saved, "written")', CODE),
        ('torch.save(saved, "written")', CODE.replace(".py", ".PY")),
        ('ops.aten.save(saved, "written")', CODE),
        ('t = torch\n    t.save(saved, "written")', CODE),
        ('t = torch.save\n    t(saved, "written")', CODE),
        ('getattr(torch, "save")(saved, "written")', CODE),
        ('getattr(torch, "sa" "ve")(saved, "written")', CODE),
        ('getattr(torch, "\\163ave")(saved, "written")', CODE),
        ('getattr((torch), "\\163ave")(saved, "written")', CODE),
        ('g = getattr\n    g(torch, "\\163ave")(saved, "written")', CODE),
    ],
)
def test_by_whatever_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str, record: str
) -> None:
    monkeypatch.chdir(tmp_path)
    archive = doing(statement, record)
    with torchscript_accepted():
        torch.jit.load(io.BytesIO(archive))(torch.ones(2, 2))
    assert Path("written").exists(), "the control: torch does it"
    with pytest.raises(ValueError, match="may read or write files"):
        load_archive(archive)


@pytest.mark.parametrize(("name", "problem"), [("DATA.pkl", "there twice"), ("model.json", "before 1.2")])
def test_what_torch_might_read_otherwise_is_refused(name: str, problem: str) -> None:
    buffer = io.BytesIO(PLAIN)
    with zipfile.ZipFile(buffer, "a") as records:
        records.writestr(f"{records.namelist()[0].partition('/')[0]}/{name}", b"{}")
    assert problem in (code_problem(buffer.getvalue()) or "")


def test_what_is_no_archive_is_said() -> None:
    with pytest.raises(RuntimeError):
        load_archive(b"nothing")


@pytest.mark.parametrize("name", ["extra/model.json", "extra/train.py", f"{CODE}.debug_pkl"])
def test_what_torch_does_not_run_may_hold_anything(name: str) -> None:
    assert code_problem(with_records(PLAIN, {name: b"torch.save(x, y)"})) is None


def test_nets_are_loaded_as_before() -> None:
    assert load_archive(PLAIN)(torch.ones(1, 2)).shape == (1, 2)
    models = list(COMMITTED.glob("*/*/model.pt"))
    assert len(models) > 3
    for model in models:
        assert code_problem(model.read_bytes()) is None, model


def test_all_operators_that_take_the_name_of_a_file_are_found() -> None:
    importlib.import_module("torchvision")  # which has some of its own
    taking = {
        schema.name.partition("::")[2]
        for schema in torch._C._jit_get_all_schemas()
        if any(word in argument.name for argument in schema.arguments for word in ("file", "folder", "url"))
    }
    assert {"save", "from_file", "read_file", "write_file"} <= taking
    assert taking <= set(FILE_OPERATORS), "this torch, or torchvision, has more of them"


def test_neither_the_service_nor_publishing_takes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    archive = archive_of(Writes())
    manifest = Manifest.model_validate_json((COMMITTED / "pass/1/manifest.json").read_bytes())
    with pytest.raises(ArtifactError, match="has 'save' in it"):
        prepare(Artifact("pass/1", manifest, archive), CPU)
    Path("net.pt").write_bytes(archive)
    told = CliRunner().invoke(
        cli, ["publish", "net.pt", "--kind", "table", "--name", "net", "--columns", "a,b"]
    )
    assert told.exit_code == 2
    assert "has 'save' in it" in " ".join(told.output.split())
    assert not Path("written").exists()
