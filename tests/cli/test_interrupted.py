"""Ctrl-C ends a command with a word and 130, whenever it comes: also while its modules are imported."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import ClassVar

import httpx
import psutil
import pytest

from tests.conftest import COMMITTED, ROOT, wait_for
from tests.workers.slow_import import NAPS, slow_import

COMMANDS = {
    "abacus predict": ("-m", "abacus_cli", "predict", "pass", "-"),
    "abacus models": ("-m", "abacus_cli", "models", "list"),
    "abacus keys api": ("-m", "abacus_cli", "keys", "api", "somebody", "--file", "keys.txt"),
    "abacus keys signing": ("-m", "abacus_cli", "keys", "signing"),
    "abacus train": ("-m", "abacus_cli", "train", "pass"),
    "service models": ("-m", "service", "models", "list"),
    "service key": ("-m", "service", "key", "somebody", "--file", "keys.txt"),
    "training": ("-m", "training", "pass"),
    "abacus": ("-c", "from abacus_cli.__main__ import main; main()", "models", "list"),
}


def started(words: Sequence[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def interrupted(folder: Path, words: Sequence[str], slow: dict[str, str], reached: Path) -> tuple[int, str]:
    """Once it imports what takes long: its exit code, and what it said."""
    environment = {"PYTHONPATH": f"{slow['PYTHONPATH']}:{ROOT}", "NO_COLOR": "1"}
    with started(words, folder, environment) as process:
        wait_for(reached.exists)
        psutil.Process(process.pid).send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_only_being_imported(tmp_path: Path, command: str) -> None:
    slow, reached = slow_import(tmp_path, "typer", 60)
    assert interrupted(tmp_path, COMMANDS[command], slow, reached) == (130, "Error: interrupted\n")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "reached",
        "sitecustomize.py",
    ]


def test_what_imports_in_c_cannot_drop_it(tmp_path: Path) -> None:
    slow, reached = slow_import(tmp_path, "torch", 60, drops=True)
    words = ("-m", "training", "pass", "--out", str(tmp_path / "models"))
    assert interrupted(tmp_path, words, slow, reached) == (130, "Error: interrupted\n")
    assert not (tmp_path / "models").exists()


def test_a_version_that_is_tried_is_let_go(tmp_path: Path) -> None:
    """The process that loads it, to which a terminal says the same, says nothing."""
    slow, reached = slow_import(tmp_path, "torch", 60)
    words = ["-m", "service", "models", "verify", "pass", "--artifacts", str(COMMITTED)]
    with started(words, ROOT, slow) as process:
        wait_for(reached.exists)
        (*_, loading) = psutil.Process(process.pid).children()
        for one in (loading, process):
            one.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "Error: interrupted\n")
    wait_for(lambda: not loading.is_running())


class Silent(BaseHTTPRequestHandler):
    """A service that says what its model is, and answers nothing else."""

    model: ClassVar[bytes]
    asked: ClassVar[Event]

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.model)

    def do_POST(self) -> None:
        self.asked.set()
        self.rfile.read()  # until its client has gone

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def silent(committed_server: httpx.Client) -> Iterator[ThreadingHTTPServer]:
    Silent.model, Silent.asked = committed_server.get("/models/pass").content, Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_questions_under_way_are_not_waited_for(silent: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "hours.csv").write_text("hours\n4\n")
    url = f"http://127.0.0.1:{silent.server_port}"
    words = ["predict", "pass", "hours.csv", "--out", "o.csv", "--url", url, "--timeout", "600"]
    with subprocess.Popen(
        [sys.executable, "-m", "abacus_cli", *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert Silent.asked.wait(60)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    said = "0 answered in o.csv, 0 failed, 0 skipped; interrupted; the same command goes on\n"
    assert (process.returncode, errors) == (130, said)


DROPS = """
class Dropping:
    def __del__(self):
        print("ready", flush=True)
        naps(60)

def cli(*_, **__):
    Dropping()
    naps(60)
"""
ANOTHER = """
def cli(*_, **__):
    try:
        print("ready", flush=True)
        naps(60)
    except BaseException:
        raise ImportError("cannot load module more than once per process") from None
"""


@pytest.mark.parametrize("what", [DROPS, ANOTHER])
def test_a_training_hears_what_is_dropped_on_its_way_or_made_another(what: str) -> None:
    code = "import sys, types; sys.modules['training.commands'] = commands = types.ModuleType('c')\n"
    code += NAPS + what + "commands.cli = cli\nfrom training.__main__ import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.splitlines()[-1]) == (130, "Error: interrupted")
