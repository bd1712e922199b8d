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
