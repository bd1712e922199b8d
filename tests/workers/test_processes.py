"""The first seconds of a process: the port, a stop, the folder of metrics; what fails is said in a line."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, free_ports, wait_for
from tests.workers.slow_import import slow_import


def start(environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "service", "--port", "0", *options]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, log = process.communicate(timeout=60)
    return process.returncode, log


@pytest.fixture
def path() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_noticed_before_anything_is_loaded(
    tmp_path: Path, path: dict[str, str], workers: str
) -> None:
    slow, reached = slow_import(tmp_path, "torch", 60)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, log = ended(start(path | slow, "--port", port, "--workers", workers))
    assert (code, log) == (1, f"Error: cannot listen on 127.0.0.1:{port}: Address already in use\n")
    assert not reached.exists()


def test_of_two_that_start_at_once_one_ends_before_anything_is_loaded(
    tmp_path: Path, path: dict[str, str]
) -> None:
    slow, reached = slow_import(tmp_path, "torch", 60)
    port = str(*free_ports(1))
    first = start(path | slow, "--port", port)
    wait_for(reached.exists)
    code, log = ended(start(path | slow, "--port", port))
    assert (code, log) == (1, f"Error: cannot listen on 127.0.0.1:{port}: Address already in use\n")
    first.terminate()
    assert ended(first)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda n: n.name)
@pytest.mark.parametrize(
    ("module", "workers"),
    [("typer", "1"), ("torch", "1"), ("torch", "2")],
    ids=["first", "alone", "workers"],
)
def test_a_stop_during_the_start_is_a_stop(
    tmp_path: Path, path: dict[str, str], module: str, workers: str, number: signal.Signals
) -> None:
    """Without the stop it would go on importing for a minute."""
    slow, reached = slow_import(tmp_path, module, 60)
    process = start(path | slow, "--workers", workers)
    wait_for(reached.exists)
    process.send_signal(number)
    code, log = ended(process)
    assert code == 0
    assert "Traceback" not in log


def test_a_command_that_is_interrupted_is_no_success(tmp_path: Path, path: dict[str, str]) -> None:
    slow, reached = slow_import(tmp_path, "typer", 60)
    command = [sys.executable, "-m", "service", "models", "list"]
    process = subprocess.Popen(command, cwd=ROOT, env=path | slow, stderr=subprocess.PIPE, text=True)
    wait_for(reached.exists)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] != 0


def test_a_folder_of_metrics_that_cannot_be_is_said_in_a_line(path: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    named = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "file")}
    code, log = ended(start(path | named, "--workers", "2"))
    assert code == 2
    assert "PROMETHEUS_MULTIPROC_DIR" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("module", ["typer", "torch"])
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_other_signals_end_nothing(
    tmp_path: Path, path: dict[str, str], number: signal.Signals, module: str
) -> None:
    slow, reached = slow_import(tmp_path, module, 60)
    process = start(path | slow)
    wait_for(reached.exists)
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGQUIT)
    assert ended(process)[0] == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_help_is_printed_whatever_the_terminal_can_show(path: dict[str, str], encoding: str) -> None:
    command = [sys.executable, "-m", "service", "--help"]
    environment = path | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"--max-image-pixels" in done.stdout
