"""The package: what is in it, what it is called, and that it serves where nothing else is."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from typer.testing import CliRunner

from service import DISTRIBUTION, installing
from service import commands as models
from service.artifacts.store import ArtifactStore
from tests.conftest import BASELINE, COMMITTED, ROOT, address_in, wait_for

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PARTS = ("service", "training", "artifacts", "abacus_cli", "abacus_client")
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt")
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".html", ".js", ".txt", ".sh", ""}
SEVEN = BASELINE / "samples" / "7.png"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution, and the wheel that is built from it, of a copy of the sources."""
    copy = tmp_path_factory.mktemp("sources")
    for part in PARTS:
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", ".lock"))
    for file in FILES:
        shutil.copy(ROOT / file, copy)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(copy / "dist"), str(copy)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return copy / "dist"


@pytest.fixture(scope="module")
def unpacked(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an installation puts into site-packages."""
    (wheel,) = dist.glob("*.whl")
    folder = tmp_path_factory.mktemp("site-packages")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_a_wheel_has_the_live_models_and_all_code_and_nothing_else(unpacked: Path) -> None:
    committed, shipped = ArtifactStore(COMMITTED), ArtifactStore(unpacked / "service" / "shipped_models")
    assert shipped.names() == committed.names()
    for name in committed.names():
        live = committed.current(name)
        assert (shipped.current(name), shipped.versions(name)) == (live, [live])
        files = {path.name for path in shipped.folder(name, live).iterdir()}
        assert files == {"model.pt", "manifest.json", "samples"}
    for part in PARTS:
        if part != "artifacts":
            code = {str(path.relative_to(ROOT)) for path in (ROOT / part).rglob("*.py")}
            assert code <= {str(path.relative_to(unpacked)) for path in unpacked.rglob("*.py")}
    page = {path.name for path in (ROOT / "service" / "web").iterdir()}
    assert {path.name for path in (unpacked / "service" / "web").iterdir()} == page
    at_the_top = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}
    assert at_the_top == {part for part in PARTS if part != "artifacts"}


@contextmanager
def serving(folder: Path, *command: str, **environment: str) -> Iterator[httpx.Client]:
    log = folder.with_suffix(".log")
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*command, "--port", "0"], cwd=folder, stderr=stderr, env={**os.environ, **environment}
        )
    try:
        with httpx.Client(base_url=address_in(log, process), timeout=60) as client:
            wait_for(lambda: client.get("/health/ready").status_code == 200)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=120)


def answers_both(client: httpx.Client) -> bool:
    """What the README asks first."""
    passed = client.post("/predict/pass", json={"hours": 4}).json()["passed"]
    digit = client.post("/predict/digit", files={"file": SEVEN.read_bytes()}).json()["digit"]
    return bool(passed) and digit == 7


def test_it_serves_from_an_empty_folder(unpacked: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with serving(empty, sys.executable, "-m", "service", PYTHONPATH=str(unpacked)) as client:
        assert answers_both(client)
    assert str(unpacked / "service" / "shipped_models") in (tmp_path / "empty.log").read_text()
    assert list(empty.iterdir()) == []


def test_a_folder_that_is_there_or_named_comes_before_what_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(models.cli, ["list", *options])
        return result.exit_code, result.output

    monkeypatch.chdir(tmp_path)
    assert "* pass/1 " in listed()[1]
    assert listed("--artifacts", "missing")[0] == 2
    (tmp_path / "mine").mkdir()
    assert listed("--artifacts", "mine") == (0, "no version is published in mine\n")
    monkeypatch.setenv("SERVICE_ARTIFACTS", "mine")
    assert listed() == (0, "no version is published in mine\n")
    monkeypatch.setenv("SERVICE_ARTIFACTS", "missing")
    assert listed()[0] == 2
    monkeypatch.delenv("SERVICE_ARTIFACTS")
    (tmp_path / "artifacts").mkdir()
    assert listed() == (0, "no version is published in artifacts\n")


def test_the_distribution_is_named_once() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    named = re.findall(r"[\w.-]+(?=\[)", str(PROJECT["optional-dependencies"]))
    assert {name for name in named if "abacus" in name} == {DISTRIBUTION}
    for extra in ("train", "tracing"):
        assert extra in PROJECT["optional-dependencies"]
        assert installing(extra) == f"pip install '{DISTRIBUTION}[{extra}]'"


def names_known() -> set[str]:
    """What we are called and what we depend on."""
    optional = PROJECT["optional-dependencies"].values()
    requirements = [*PROJECT["dependencies"], *(one for extra in optional for one in extra)]
    return {re.split(r"[\[<>=;]", one)[0] for one in requirements}


def texts() -> Iterator[tuple[Path, str]]:
    """Whatever of the project a person reads or a machine runs."""
    folders = [ROOT / part for part in (*PARTS, "docs", "deploy", "benchmarks")]
    for path in (*ROOT.iterdir(), *(path for folder in folders for path in folder.rglob("*"))):
        is_others = ".environments" in path.parts  # what peers of the benchmarks are installed in
        if path.is_file() and path.suffix in TEXT and path.name != "CHANGELOG.md" and not is_others:
            yield path, path.read_text(encoding="utf-8")


def test_nobody_is_told_to_install_what_is_not_ours() -> None:
    """A name that we do not hold is whatever its holder makes of it."""
    known, told = names_known(), set[str]()
    for path, text in texts():
        for command in re.findall(r"pip install ([^\n`;&|)\\]*)", text):
            # Options have values, which are files and variables.
            names = {
                m[1] for word in command.split() if (m := re.fullmatch(r"'?([a-z][\w-]*)(\[.+)?'?", word))
            }
            assert names <= known, f"{path}: {command}"
            told |= names
        assert not re.search(r"(?<![\w-])abacus\[", text), path
    assert DISTRIBUTION in told


def test_the_image_has_what_tracing_needs() -> None:
    """The Dockerfile's own commands, as they stand in it."""
    commands = re.findall(r'python -c "(import tomllib.+)" \\', (ROOT / "Dockerfile").read_text())
    service, training, ray = (
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for code in commands
    )
    optional = PROJECT["optional-dependencies"]
    assert service.split("\n")[:-1] == [*PROJECT["dependencies"], *optional["tracing"]]
    assert training.split("\n")[:-1] == optional["train"]
    assert ray.split("\n")[:-1] == optional["ray"]


@pytest.mark.package
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_it_is_installed_and_serves_from_an_empty_folder(dist: Path, tmp_path: Path, kind: str) -> None:
    """With what the index has today within our ranges and constraints: `make test-package`."""
    (package,) = dist.glob(kind)
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *constraints, str(package)], check=True)
    size = subprocess.run(["du", "-sm", str(environment)], capture_output=True, text=True).stdout.split()[0]
    print(f"{package.name}: {package.stat().st_size / 1e6:.1f} MB, installed {size} MB")
    (tmp_path / "empty").mkdir()
    with serving(tmp_path / "empty", python, "-m", "service") as client:
        assert answers_both(client)
    training = subprocess.run(
        [python, "-m", "training", "pass"], capture_output=True, text=True, cwd=tmp_path
    )
    assert training.returncode == 1
    assert training.stderr.endswith(f"{installing('train')}\n")
