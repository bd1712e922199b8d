"""The page's examples, run in its order, print what it says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.client.conftest import SEVEN
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
# What stands behind a comment is one that is not run.
PROGRAM = "\n".join(re.findall(r"(?<!-->\n)^```python\n(.+?)^```", PAGE, re.M | re.S))


def said(program: str) -> list[str]:
    """What it prints stands behind it, or below it, as comments."""
    return re.findall(r"(?:^ *|  )# (.+)$", program, re.M)


def test_the_examples(address: str, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for name in ("scan.png", "scans/a.png", "scans/b.png"):
        shutil.copy(SEVEN, tmp_path / name)
    number = Image.new("L", (3 * 28, 28))
    for place, digit in enumerate("504"):
        number.paste(Image.open(SEVEN.with_name(f"{digit}.png")), (28 * place, 0))
    number.save(tmp_path / "number.png")
    (tmp_path / "scans" / "broken.png").write_text("no picture")
    program = PROGRAM.replace("http://127.0.0.1:8000", address)
    assert program.count(address) == 3
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == said(PROGRAM)
    assert len(said(PROGRAM)) == 14
