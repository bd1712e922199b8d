"""`abacus predict` of a folder as real ones are."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Digits, png

PLAIN = ("a.png", "B.PNG", "-c.png", "sub/d e.png")
NAMES = (*PLAIN, '",".png', "new\nline.png", "return\r.png", "latin\udce9.png")
WRONG = ("empty.png", "gone.png", "pictures.zip")


@pytest.fixture
def scans(tmp_path: Path, digits: Digits) -> None:
    folder = tmp_path / "scans"
    (folder / "sub").mkdir(parents=True)
    for name, image in zip(NAMES, digits.images_u8, strict=False):
        (folder / name).write_bytes(png(image))
    (folder / "empty.png").touch()
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "pictures.zip").write_bytes(b"PK\3\4" + bytes(60))
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")


def rows_in(out: Path) -> list[dict[str, Any]]:
    """As any reader of such files sees them."""
    if out.suffix == ".jsonl":
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    with out.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.mark.usefixtures("scans")
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_every_file_has_a_row_and_is_known_again(ask: Any, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"answers.{form}"
    first = ask("digit", "scans", "--out", out.name)
    assert first.stderr.endswith(f"{len(NAMES)} answered in {out.name}, {len(WRONG)} failed, 0 skipped\n")
    rows = rows_in(out)
    by_name = {row["file"].removeprefix("scans/"): row for row in rows}
    assert set(by_name) == {*NAMES, *WRONG}
    for name in WRONG:
        assert by_name[name]["error"]
        assert not by_name[name].get("digit")
    (told,) = (line for line in first.stderr.splitlines() if "empty.png" in line)
    assert told.count("has no bytes") == 1
    before = out.read_bytes()
    out.write_bytes(before[: before.index(b"return") + 20])  # who wrote it was killed
    assert ask("digit", "scans", "--out", out.name).returncode == 1
    assert out.read_bytes() == before
    again = ask("digit", "scans", "--out", out.name)
    assert again.stderr == f"0 answered in {out.name}, 0 failed, {len(rows)} skipped (3 had failed)\n"
