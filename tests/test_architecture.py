"""The rules of the house that can be checked by reading the imports."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES = sorted([*ROOT.glob("service/*.py"), *ROOT.glob("training/*.py")])

# Lower rooms know nothing of higher ones.
LAYERS: list[set[str]] = [
    {
        "errors",
        "settings",
        "manifest",
        "files",
        "cpus",
        "draining",
        "morphology",
        "head",
        "peer",
        "listening",
        "metrics_folder",
        "stages",
    },
    {"store", "fitness", "keys", "lone_thread", "webp_files"},
    {
        "devices",
        "fusion",
        "sparse",
        "depths",
        "formats",
        "stripping",
        "truncated",
        "transparency",
        "reduction",
        "turns",
        "admission",
        "metrics",
        "logs",
        "signatures",
        "auth",
        "polarity",
        "components",
        "supervisor",
    },
    {
        "schemas",
        "predictor",
        "ground",
        "printed",
        "multipart",
        "body",
        "modes",
        "png_files",
        "jpeg_files",
        "budget",
        "tiff_files",
        "bmp_files",
        "webp_chunks",
        "deep_colour",
        "gif_files",
    },
    {"registry", "batching", "problems", "strokes", "containers"},
    {"preparation"},
    {"mnist_files", "images"},
    {"explain", "documents", "decoder"},
    {"decoding"},
    {"call"},
    {"questions"},
    {"predict", "following", "watchdog"},
    {"reload", "trial"},
    {"routes", "middleware", "versions", "tracing", "reference", "methods"},
    {"direct", "answers"},
    {"app", "lifetime"},
    {"connection"},
    {"direct_connection"},
    {"pacing"},
    {"server"},
    {"worker"},
    {"processes"},
    {"__main__"},
]
ROOMS = {room for layer in LAYERS for room in layer}
WEB_ROOMS = {
    "pacing",
    "app",
    "auth",
    "body",
    "call",
    "connection",
    "direct",
    "direct_connection",
    "lifetime",
    "methods",
    "predict",
    "reference",
    "server",
    "routes",
    "middleware",
    "problems",
    "tracing",
    "__main__",
}
SHARED_WITH_TRAINING = {
    "errors",
    "manifest",
    "files",
    "store",
    "predictor",
    "devices",
    "fusion",
    "sparse",
    "images",
    "preparation",
    "signatures",
}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at any depth of the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


def rooms(path: Path, package: str) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith(f"{package}.")}


def level(room: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if room in layer)


def service_files() -> list[Path]:
    return [path for path in FILES if path.parent.name == "service" and path.stem != "__init__"]


@pytest.mark.parametrize("path", service_files(), ids=lambda p: p.stem)
def test_the_service_imports_downwards_and_nothing_from_training(path: Path) -> None:
    assert rooms(path, "training") == set()
    known = rooms(path, "service") & ROOMS
    for room in known - {path.stem}:
        assert level(room) < level(path.stem), f"{path.stem} imports {room}"


def test_every_room_of_the_service_has_its_place() -> None:
    assert {path.stem for path in service_files()} == ROOMS


@pytest.mark.parametrize("path", service_files(), ids=lambda p: p.stem)
def test_only_the_web_rooms_know_the_web_framework(path: Path) -> None:
    web = {n.partition(".")[0] for n in imports(path)} & {"fastapi", "starlette", "uvicorn"}
    assert not web or path.stem in WEB_ROOMS


def test_training_imports_only_what_is_shared() -> None:
    for path in FILES:
        if path.parent.name == "training":
            assert rooms(path, "service") <= SHARED_WITH_TRAINING, path.stem


def test_torchscript_stands_in_two_files() -> None:
    users = {p.stem for p in FILES if "torch.jit." in _code_only(p)}
    assert users == {"predictor", "publish"}


def test_the_environment_is_read_in_one_file() -> None:
    users = {p.stem for p in FILES if "os.environ" in p.read_text() or "getenv" in p.read_text()}
    assert users == {"settings", "processes"}  # which sets what prometheus_client reads
    assert "os.environ[" in (ROOT / "service" / "processes.py").read_text()
    assert "BaseSettings" in (ROOT / "service" / "settings.py").read_text()


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = {"models", "utils", "helpers", "common", "base", "core"}
    assert not vague & {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}.{p.stem}")
def test_nothing_happens_at_import(path: Path) -> None:
    """Module level holds definitions and constants: no loose calls, loops or conditions."""
    for node in ast.parse(path.read_text()).body:
        loose = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        loose = loose and "add_typer" not in ast.unparse(node)
        guard = isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)
        assert not loose, ast.unparse(node)
        assert guard or not isinstance(node, ast.If | ast.For | ast.While | ast.With | ast.Try)


def test_broad_excepts_stand_at_their_borders() -> None:
    broad = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            ):
                broad.append(path.stem)
    assert sorted(broad) == ["direct", "errors", "middleware"]


def test_this_python_is_supported() -> None:
    assert (3, 11) <= sys.version_info < (3, 14)


def _code_only(path: Path) -> str:
    """The source without comments and strings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.unparse(tree)
