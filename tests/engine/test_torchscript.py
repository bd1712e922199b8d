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
from service.engine.torchscript import MAX_CODE_BYTES, REACHES_FILES, code_problem, load_archive
from service.engine.ways import torchscript_accepted
from tests.conftest import COMMITTED, CPU
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


def with_record(archive: bytes, name: str, content: bytes) -> bytes:
    buffer = io.BytesIO(archive)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as records:
        records.writestr(f"{records.namelist()[0].partition('/')[0]}/{name}", content)
    return buffer.getvalue()


@pytest.mark.parametrize(("module", "name"), [(Writes(), "save"), (Reads(), "from_file")])
def test_code_that_reaches_files_is_refused(module: nn.Module, name: str) -> None:
    with pytest.raises(ValueError, match=f"its code uses '{name}'.*read or write files"):
        load_archive(archive_of(module))


def test_it_is_refused_before_any_of_it_is_run(tmp_path: Path) -> None:
    written = tmp_path / "written"
    archive = archive_of(WritesWhenLoaded(str(written)))
    with torchscript_accepted():
        torch.jit.load(io.BytesIO(archive))
    assert written.exists(), "the control: torch runs it"
    written.unlink()
    with pytest.raises(ValueError, match="its code uses 'save'"):
        load_archive(archive)
    assert not written.exists()


@pytest.mark.parametrize(
    "code", [b"t = torch\n_0 = t.\n  save(x, p)", b"ops.aten.save(x, p)", b'getattr(t, "\\x73ave")(x, p)']
)
def test_by_whatever_name(code: bytes) -> None:
    assert "files" in (code_problem(with_record(archive_of(Harmless()), "code/more.py", code)) or "")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("data.pkl", b"", "there twice"),
        ("model.json", b"{}", "before 1.2"),
        ("code/long.py", bytes(MAX_CODE_BYTES), "more than"),
    ],
)
def test_what_may_be_read_otherwise_than_it_was_is_refused(name: str, content: bytes, problem: str) -> None:
    archive = archive_of(Harmless())
    with pytest.warns(UserWarning, match="Duplicate") if "twice" in problem else torchscript_accepted():
        altered = with_record(archive, name, content)
    assert problem in (code_problem(altered) or "")


def test_what_is_no_archive_is_said() -> None:
    assert "no zip archive" in (code_problem(b"nothing") or "")


def test_nets_are_loaded_as_before() -> None:
    assert load_archive(archive_of(Harmless()))(torch.ones(1, 2)).shape == (1, 2)
    for model in COMMITTED.glob("*/*/model.pt"):
        assert code_problem(model.read_bytes()) is None, model


def test_all_operators_that_take_the_name_of_a_file_are_found() -> None:
    importlib.import_module("torchvision")  # which has some of its own
    taking = {
        schema.name.partition("::")[2]
        for schema in torch._C._jit_get_all_schemas()
        if any(word in argument.name for argument in schema.arguments for word in ("file", "folder", "url"))
    }
    assert {"save", "from_file", "read_file", "write_file"} <= taking
    assert all(REACHES_FILES.fullmatch(name.encode()) for name in taking), taking


def test_neither_the_service_nor_publishing_takes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    archive = archive_of(Writes())
    manifest = Manifest.model_validate_json((COMMITTED / "pass/1/manifest.json").read_bytes())
    with pytest.raises(ArtifactError, match="its code uses 'save'"):
        prepare(Artifact("pass/1", manifest, archive), CPU)
    Path("net.pt").write_bytes(archive)
    told = CliRunner().invoke(
        cli, ["publish", "net.pt", "--kind", "table", "--name", "net", "--columns", "a,b"]
    )
    assert told.exit_code == 2
    assert "its code uses 'save'" in " ".join(told.output.split())
    assert not Path("written").exists()
