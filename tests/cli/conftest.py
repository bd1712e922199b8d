"""A service of the committed models, and what it is asked about."""

import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.asking import predict
from tests.conftest import Digits, png


@pytest.fixture
def scans(tmp_path: Path, digits: Digits) -> Path:
    """Twenty digits in two folders, and a file that is none."""
    folder = tmp_path / "scans"
    (folder / "more").mkdir(parents=True)
    for i in range(20):
        path = folder / ("more" if i % 2 else "") / f"{i:02}.png"
        path.write_bytes(png(digits.images_u8[i]))
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden").write_text("not asked about")
    return folder


@pytest.fixture
def ask(committed_server: httpx.Client, tmp_path: Path) -> Any:
    def ask(*words: str, given: str = "", out: str | None = None) -> subprocess.CompletedProcess[str]:
        url = str(committed_server.base_url)
        into = ("--out", out) if out else ()
        return predict(tmp_path, *words, *into, "--url", url, given=given)

    return ask
