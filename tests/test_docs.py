"""The site of docs/ is whole: `make docs` builds it, strictly."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCS = ROOT / "docs"
NAVIGATION = (ROOT / "zensical.toml").read_text(encoding="utf-8")
FIRST = (DOCS / "index.md").read_text(encoding="utf-8")
ZENSICAL = Path(sys.executable).parent / "zensical"


def test_no_page_links_to_what_the_site_does_not_have() -> None:
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).resolve().is_relative_to(DOCS), f"{page.name}: {target}"


def test_every_page_is_found() -> None:
    for page in DOCS.glob("*.md"):
        assert f'"{page.name}"' in NAVIGATION
        assert page.name == "index.md" or f"]({page.name})" in FIRST


@pytest.mark.skipif(not ZENSICAL.exists(), reason="zensical is not installed: make docs")
def test_the_site_builds_strictly_and_takes_nothing_from_elsewhere(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    built = subprocess.run([ZENSICAL, "build", "--strict"], cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(list(DOCS.rglob("*.md")))
    for page in pages:
        html = page.read_text(encoding="utf-8")
        taken = re.findall(r'<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="?https?:', html)
        assert taken == [], page
