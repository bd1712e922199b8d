"""The rules of the house that can be checked by reading the imports."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FOLDERS = ("service", "training", "abacus_cli", "abacus_client", "conformance")
FILES = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/**/*.py"))

# From the lowest to the highest: a folder, or a file of `service` itself, imports from those before it.
ROOMS = (
    "starting",
    "errors",
    "option_types",
    "settings",
    "request_id",
    "problems",
    "artifacts",
    "engine",
    "pictures/formats",
    "pictures/digits",
    "pictures/numbers",
    "pictures",
    "decoding",
    "serving",
    "rollout",
    "uploads",
    "endpoints",
    "protocol",
    "http",
    "connections",
    "rpc",
    "fast_path",
    "lifespan",
    "app",
    "server",
    "workers",
    "terminal",
    "trial",
    "listed",
    "commands",
    "__main__",
)
WEB_ROOMS = {"problems", "http", "connections", "fast_path", "lifespan", "app", "server"}
WEB_FILES = {  # what ASGI calls
    *("endpoints/canary", "serving/body", "serving/call"),
    *(f"endpoints/{name}" for name in ("dispatch", "answer", "endpoint", "table", "picture", "digit")),
    *(f"protocol/{name}" for name in ("infer", "routes")),
}
SHARED_WITH_TRAINING = {
    *("starting", "errors", "option_types"),
    *("artifacts", "engine", "pictures", "terminal"),
}
MOST_FILES = 15

SECTIONS = ("The life of a request", "The life of a version", "Layers")  # of docs/architecture.md


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at any depth of the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(path: Path) -> str:
    """`serving/call`, of a file of `service`."""
    return path.relative_to(ROOT / "service").with_suffix("").as_posix()


def room_of(place: str) -> str | None:
    """None where it is `service` itself."""
    return max((room for room in ROOMS if f"{place}/".startswith(f"{room}/")), key=len, default=None)


def rooms(path: Path) -> set[str]:
    """Those of `service` that a file imports from."""
    inner = (name.split(".", 1)[1] for name in imports(path) if name.startswith("service."))
    return {room for name in inner if (room := room_of(name.replace(".", "/")))}


def service_files() -> list[Path]:
    return [path for path in FILES if path.is_relative_to(ROOT / "service")]


def training_files() -> list[Path]:
    return [path for path in FILES if path.is_relative_to(ROOT / "training")]


@pytest.mark.parametrize("path", service_files(), ids=place)
def test_the_service_imports_downwards_and_nothing_from_training(path: Path) -> None:
    assert not any(name.startswith("training.") for name in imports(path))
    own = room_of(place(path))
    if own is None:
        assert path == ROOT / "service" / "__init__.py"
        assert not rooms(path)
        return
    for room in rooms(path) - {own}:
        assert ROOMS.index(room) < ROOMS.index(own), f"{place(path)} imports {room}"


@pytest.mark.parametrize("path", service_files(), ids=place)
def test_only_the_web_rooms_know_the_web_framework(path: Path) -> None:
    web = {name.partition(".")[0] for name in imports(path)} & {"fastapi", "starlette", "uvicorn"}
    assert not web or room_of(place(path)) in WEB_ROOMS or place(path) in WEB_FILES


def test_training_imports_only_what_is_shared() -> None:
    for path in training_files():
        assert {room.partition("/")[0] for room in rooms(path)} <= SHARED_WITH_TRAINING, path


def test_the_client_stands_alone() -> None:
    """Whoever asks a model installs no more than httpx and pydantic."""
    known = {"abacus_client", "httpx", "pydantic", "typing_extensions", *sys.stdlib_module_names}
    for path in FILES:
        if path.is_relative_to(ROOT / "abacus_client"):
            assert {name.partition(".")[0] for name in imports(path)} <= known, path


def test_a_folder_can_be_seen_whole() -> None:
    for folder in {path.parent for path in FILES}:
        assert len([path for path in folder.glob("*.py") if path.stem != "__init__"]) <= MOST_FILES, folder


def test_torchscript_stands_in_five_files() -> None:
    users = {p.stem for p in FILES if "torch.jit." in _code_only(p)}
    assert users == {"torchscript", "ways", "quantized", "archive", "torchscript_file"}
    assert {p.stem for p in FILES if "torch.jit.load(" in _code_only(p)} == {"torchscript"}


def test_the_environment_is_read_in_one_file() -> None:
    users = {p.stem for p in FILES if "os.environ" in p.read_text() or "getenv" in p.read_text()}
    # processes sets what prometheus_client reads, ranks reads what torchrun sets,
    # mlflow_registry sets how long MLflow waits
    assert users == {"settings", "processes", "ranks", "mlflow_registry"}
    assert "os.environ[" in (ROOT / "service" / "workers" / "processes.py").read_text()
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
                node.type is None or {"Exception", "BaseException"} & set(names_in(node.type))
            ):
                broad.append(path.stem)
    # Of calls: of fast_path, and of rpc.
    assert sorted(broad) == ["background", "calls", "calls", "errors", "middleware"]


def test_no_clock_runs_over_generated_cases_and_they_are_the_same_each_time() -> None:
    """A busy machine is no fault of the code, and one test that fails now and then keeps all work out."""
    by_test = re.compile(r"^( *)@given\(", re.M)
    steadied = re.compile(r"^( *)@(?:steady|generated)\(.*\)(?:  #.*)?\n\1@given\(", re.M)
    for path in ROOT.glob("tests/**/*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(by_test.findall(text)) == len(steadied.findall(text)), f"{path.name}: tests/generated.py"


def test_no_page_has_both_sides_of_a_merge() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        assert not re.search(r"^(<{7}|>{7}) ", page.read_text(encoding="utf-8"), re.M), page


def test_the_page_leads_to_files_that_there_are_and_lists_all_rooms() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    way, version, rooms_told = (page.split(f"## {title}\n")[1].split("\n## ")[0] for title in SECTIONS)
    for name in re.findall(r"`([\w/]+\.py)`", way):
        assert (ROOT / "service" / name).exists(), name
    for name in re.findall(r"`([\w/]+\.py)`", version):
        assert (ROOT / name).exists(), name
    told = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.+?) \|", rooms_told, re.M)))
    assert told == [room for room in ROOMS if "/" not in room]


def test_this_python_is_supported() -> None:
    assert (3, 11) <= sys.version_info < (3, 14)


def names_in(node: ast.expr) -> Iterator[str]:
    """Those of a type, or of the types in a tuple."""
    return (name.id for name in ast.walk(node) if isinstance(name, ast.Name))


def _code_only(path: Path) -> str:
    """The source without comments and strings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.unparse(tree)
