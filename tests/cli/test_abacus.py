"""`abacus COMMAND`: all commands under one name, and nothing imported that is not asked for."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service import __version__
from tests.conftest import ROOT, served, wait_for
from tests.workers.slow_import import slow_import


def abacus(
    *words: str, python: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *python, "-m", "abacus_cli", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env={"COLUMNS": "120", "PATH": "", "NO_COLOR": "1", **environment},
    )


def test_help_names_the_commands() -> None:
    shown = abacus("--help")
    assert shown.returncode == 0
    for command in ("serve", "predict", "models", "train", "keys"):
        assert f"\n  {command} " in shown.stdout
    assert abacus("--version").stdout == f"abacus {__version__}\n"
    keys = abacus("keys", "--help").stdout
    assert "\n  api " in keys
    assert "\n  signing " in keys


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Usage: abacus COMMAND"),
        (("sreve",), "Error: abacus has no command 'sreve'; did you mean serve?"),
        (("xyz",), "Error: abacus has no command 'xyz'. There are: serve, predict, models, train, keys."),
        (("keys",), "Usage: abacus keys COMMAND"),
        (("keys", "apy"), "Error: abacus keys has no command 'apy'; did you mean api?"),
        (("keys", "api"), "Usage: abacus keys api "),
        (("models", "list", "--artifacts", "/nonexistent"), "Usage: abacus models list"),
        (("serve", "--port", "99999"), "Usage: abacus serve "),
    ],
)
def test_what_is_called_wrongly_is_said_under_its_own_name(words: tuple[str, ...], said: str) -> None:
    result = abacus(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(said)


@pytest.mark.parametrize(
    "words",
    [("serve",), ("predict",), ("models",), ("train",), ("keys", "api"), ("keys", "signing")],
    ids=" ".join,
)
def test_no_command_has_options_but_its_own(words: tuple[str, ...]) -> None:
    """Typer's own would install the completion of a part of it under the name of all."""
    shown = abacus(*words, "--help")
    assert (shown.returncode, "completion" in shown.stdout) == (0, False)


def test_keys_are_made_of_both_kinds(tmp_path: Path) -> None:
    made = abacus("keys", "api", "laboratory", "--file", str(tmp_path / "keys.txt"))
    assert made.returncode == 0
    assert made.stdout.strip() not in (tmp_path / "keys.txt").read_text()
    assert abacus("keys", "signing", "--out", str(tmp_path)).returncode == 0
    assert (tmp_path / "signing-key.pem").is_file()


def test_a_command_imports_nothing_of_another() -> None:
    """So that each starts as quickly as it did alone."""
    for words in (("serve", "--version"), ("models", "list"), ("--help",)):
        shown = abacus(*words, python=("-X", "importtime"))
        assert shown.returncode == 0
        imported = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
        assert "abacus_cli" in imported
        assert not {"torch", "training", "abacus_client", "pyarrow"} & imported, words


def test_abacus_serves(published: Path) -> None:
    with served("--artifacts", str(published), module="abacus_cli serve") as service:
        assert service.client.post("/predict/pass", json={"hours": 4}).status_code == 200


def test_a_stop_during_its_start_is_a_stop(tmp_path: Path) -> None:
    slow, reached = slow_import(tmp_path, "typer", 60)
    command = [sys.executable, "-m", "abacus_cli", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, env=slow, stderr=subprocess.PIPE, text=True) as process:
        wait_for(reached.exists)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
