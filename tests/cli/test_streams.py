"""Standard input, output and error of `abacus predict`: closed, or full."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.asking import ENVIRONMENT
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("closed", "code", "said"),
    [
        (0, 2, "Error: standard input is closed\n"),
        (1, 2, "Error: standard output is closed\n"),
        (2, 0, ""),
    ],
)
def test_streams_that_are_closed(
    committed_server: httpx.Client, tmp_path: Path, closed: int, code: int, said: str
) -> None:
    (tmp_path / "hours.csv").write_text("hours\n4\n")
    words = ["pass", *(["hours.csv"] if closed else []), "--url", str(committed_server.base_url)]
    with (tmp_path / "out").open("w") as out, (tmp_path / "said").open("w") as errors:
        result = subprocess.run(
            [sys.executable, "-m", "abacus_cli", "predict", *words],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            env={**ENVIRONMENT, "PYTHONPATH": f"{ROOT}:{ENVIRONMENT['PYTHONPATH']}"},
            preexec_fn=lambda: os.close(closed),
        )
    assert (result.returncode, (tmp_path / "said").read_text()) == (code, said)
    assert (tmp_path / "out").read_text().count("passed") == (not code)


def test_a_full_disk_behind_standard_output_is_said_in_a_line(
    committed_server: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "hours.csv").write_text("hours\n4\n")
    words = ["pass", "hours.csv", "--url", str(committed_server.base_url)]
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "abacus_cli", "predict", *words],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**ENVIRONMENT, "PYTHONPATH": f"{ROOT}:{ENVIRONMENT['PYTHONPATH']}"},
        )
    said = "Error: standard output cannot be written: No space left on device\n"
    assert (result.returncode, result.stderr) == (2, said)


PUBLISHED = ("training", "pass", "--epochs", "3", "--out", "models")


@pytest.mark.parametrize(
    "words",
    [
        ("abacus_cli", "--version"),
        ("abacus_cli", "models", "--help"),
        ("abacus_cli", "models", "list"),
        ("service", "models", "verify", "pass"),
        ("service", "key", "laboratory", "--file", "keys.txt"),
        PUBLISHED,
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("buffered", [False, True])
def test_every_command_says_that_standard_output_is_full(
    tmp_path: Path, words: tuple[str, ...], buffered: bool
) -> None:
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{ROOT}:{ENVIRONMENT['PYTHONPATH']}"}
    environment["PYTHONUNBUFFERED"] = "" if buffered else "1"
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
    said = "Error: standard output cannot be written: No space left on device"
    assert (result.returncode, result.stderr.splitlines()[-1:]) == (2, [said])
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "models").exists()


def test_whoever_has_read_enough_is_no_fault(tmp_path: Path) -> None:
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{ROOT}:{ENVIRONMENT['PYTHONPATH']}"}
    for words in ("--version", "models list"):
        command = f"{sys.executable} -m abacus_cli {words} | true"
        result = subprocess.run(
            command, shell=True, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert (result.returncode, result.stderr) == (0, "")
