"""Every command that the pages show is run, in its page's order; or a comment before it says why not.

    <!-- not run: needs Docker -->

In a folder with the committed models and a few files, against the real service. What it prints is
compared where the page shows an answer below.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from _pytest.mark import ParameterSet
from PIL import Image

from tests.conftest import COMMITTED, ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r"^```(?P<language>\S*)\n(?P<text>.+?)^```$"
    r"(?:\n\n```json\n(?P<answer>.+?)\n```$)?",
    re.M | re.S,
)
COMMANDS, OTHERS = ("sh", "python"), ("csv", "json", "ini", "nginx")
RUN_ELSEWHERE = {
    ("your-own-model.md", "sh"): "test_your_own_model.py",
    ("your-own-model.md", "python"): "test_your_own_model.py",
    ("client.md", "python"): "client/test_page.py",
}
ADDRESS = "127.0.0.1:8000"
SAMPLES = sorted(COMMITTED.glob("digit/*/samples/7.png"))

# What serves until it is stopped is stopped once it is ready.
SERVING = re.compile(r"^(python -m service(?: --.*)?)$", re.M)
UNTIL_READY = """
until_ready() {
    timeout 400 "$@" --port 0 2> service.log &
    until at=$(grep -o 'http://[0-9.]*:[0-9]*' service.log) && curl -sf "$at/health/ready" > ready.json; do
        kill -0 $!
        sleep 0.1
    done
    kill $!
    wait $!
}
"""

# Loads a model for nearly every line, and PyTorch with it: `make docs`.
SLOW = "operations.md"


class Block(NamedTuple):
    page: Path
    language: str
    text: str
    reason: str | None
    answer: str | None


def blocks(page: Path) -> list[Block]:
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [Block(page, m["language"], m["text"], m["reason"], m["answer"]) for m in found]


def shown(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in COMMANDS]


def bash(script: str, *options: str, **how: Any) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        ["bash", *options, "-c", script], capture_output=True, text=True, timeout=500, **how
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def run(block: Block, folder: Path, address: str) -> str:
    """What the block prints. The pages' commands are those of an environment that is active."""
    text = block.text.replace(ADDRESS, address)
    if block.language == "python":
        text = f"python - <<'END'\n{text}END\n"
    commands = re.sub(r" +# .*$", "", text, flags=re.M)
    environment = {
        "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "ABACUS_URL": f"http://{address}",
        "OMP_NUM_THREADS": "1",
    }
    script = UNTIL_READY + SERVING.sub(r"until_ready \1", commands)
    return bash(script, "-euo", "pipefail", cwd=folder, env=environment)


def rounded_as(shown: Any, given: Any) -> Any:
    """What is given, with each number that is as the one that is shown, to its last place, put for it."""
    if isinstance(shown, dict) and isinstance(given, dict):
        return {key: rounded_as(shown.get(key), value) for key, value in given.items()}
    if isinstance(shown, list) and isinstance(given, list) and len(shown) == len(given):
        return [rounded_as(*pair) for pair in zip(shown, given, strict=True)]
    if isinstance(shown, Decimal) and isinstance(given, Decimal):
        off = max(Decimal(1).scaleb(int(shown.as_tuple().exponent)) / 2, Decimal("1e-5"))
        return shown if abs(shown - given) <= off else given
    return given


def listed(page: Path) -> ParameterSet:
    return pytest.param(page, id=page.name, marks=[pytest.mark.shown] if page.name == SLOW else [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the pages' commands find: a checkout's models, some scans, two tables."""
    shutil.copytree(COMMITTED, tmp_path / "artifacts")
    (tmp_path / "scans").mkdir()
    for name in ("scan.png", "scans/a.png", "scans/b.png"):
        shutil.copy(SAMPLES[-1], tmp_path / name)
    row = Image.new("L", (3 * 28, 28))
    for place, digit in enumerate("504"):
        row.paste(Image.open(SAMPLES[-1].with_name(f"{digit}.png")), (28 * place, 0))
    row.save(tmp_path / "number.png")
    (tmp_path / "records.csv").write_text("name,hours\nAda,4\nKurt,1\n")
    (tmp_path / "list.csv").write_text("file,label\nscans/a.png,7\nscan.png,7\n")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "abacus"  # as an install makes it
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m abacus_cli "$@"\n')
    command.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("page", [listed(page) for page in PAGES])
def test_its_commands_do_what_it_says(page: Path, committed_server: httpx.Client, folder: Path) -> None:
    address = committed_server.base_url.netloc.decode()
    for block in shown(page):
        if block.reason or (page.name, block.language) in RUN_ELSEWHERE:
            continue
        said = run(block, folder, address)
        if block.answer:
            wanted, given = (json.loads(text, parse_float=Decimal) for text in (block.answer, said))
            assert rounded_as(wanted, given) == wanted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is_and_what_is_not_run_is_no_nonsense(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    fences = sum(2 if block.answer is None else 4 for block in blocks(page))
    assert len(re.findall(r"^ *(?:```|~~~)", text, re.M)) == fences
    assert {block.language for block in blocks(page)} <= {*COMMANDS, *OTHERS}
    marked = re.findall(r"^ *<!-- not run: ", text, re.M)
    assert len(marked) == sum(block.reason is not None for block in blocks(page))
    for block in shown(page):
        if block.reason and block.language == "sh":
            bash(block.text, "-n")


def test_what_is_run_elsewhere_is_there() -> None:
    for (page, language), test in RUN_ELSEWHERE.items():
        assert any(block.language == language for block in blocks(ROOT / "docs" / page))
        assert f'"{page}"' in (ROOT / "tests" / test).read_text(encoding="utf-8")
