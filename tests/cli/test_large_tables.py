"""However many rows a table has, the command has few of them in memory."""

import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from abacus_cli.done import Done
from tests.cli.asking import manifest_of
from tests.conftest import COMMITTED, ROOT

FEW, MANY = 20_000, 120_000
MOST_KB = 8_000  # what 100,000 rows more may take: of each row less than its number would
MOST_OF_ARROW_KB = 40_000  # which keeps what it once had, and has several blocks at a time

needs_pyarrow = pytest.mark.skipif(not find_spec("pyarrow"), reason="pyarrow is not installed")


def table_of(path: Path, rows: int, refused: int) -> Path:
    hours = (-1 if number < refused else number % 10 for number in range(rows))
    path.write_text(
        "name,hours\n" + "".join(f"somebody {number},{one}\n" for number, one in enumerate(hours))
    )
    if path.suffix == ".parquet":
        from pyarrow import csv, parquet

        parquet.write_table(csv.read_csv(path), path)
    return path


def most_kb(table: Path, out: Path, *words: str) -> int:
    manifest = manifest_of(COMMITTED, "pass").model_dump_json()
    command = [sys.executable, "-m", "tests.cli.measured", manifest, str(table), str(out), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), done.stderr
    return int(done.stdout)


@pytest.mark.parametrize(
    ("given", "form", "refused", "most_kb_more"),
    [
        ("csv", "jsonl", 0, MOST_KB),
        # Until an answer says which columns there are, these are held.
        ("csv", "csv", 0.3, MOST_KB),
        pytest.param("parquet", "parquet", 0, MOST_OF_ARROW_KB, marks=needs_pyarrow),
    ],
)
def test_memory_does_not_grow_with_rows(
    tmp_path: Path, given: str, form: str, refused: float, most_kb_more: int
) -> None:
    """Nor where the command is given again."""
    few, many = (table_of(tmp_path / f"{rows}.{given}", rows, int(refused * rows)) for rows in (FEW, MANY))
    least = most_kb(few, tmp_path / f"few.{form}")
    assert most_kb(many, tmp_path / f"many.{form}") - least < most_kb_more
    assert most_kb(many, tmp_path / f"many.{form}") - least < most_kb_more


def test_the_control_of_memory(tmp_path: Path) -> None:
    """Where rows are held, that is seen."""
    few, many = (table_of(tmp_path / f"{rows}.csv", rows, 0) for rows in (FEW, MANY))
    least = most_kb(few, tmp_path / "few.jsonl", "held")
    assert most_kb(many, tmp_path / "many.jsonl", "held") - least > 2 * MOST_KB


def test_what_is_done_is_known_in_whatever_order_it_was_done() -> None:
    keys = [str(number) for number in range(1, 500) if number % 7]
    random.Random(0).shuffle(keys)
    done = Done()
    for key in (*keys, "0", "0012", "a.png", "", "１"):
        done.add(key, failed=key.endswith("3"))
    assert all(key in done for key in keys)
    assert [key for key in keys if done.has_failed(key)] == [key for key in keys if key.endswith("3")]
    assert not any(str(number) in done for number in range(7, 500, 7))
    assert ["0" in done, "0012" in done, "12" in done, "00" in done, "1.0" in done] == [1, 1, 1, 0, 0]
