"""What an output has already: gone on with where it is the command's own, and else left as it is."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.asking import ENVIRONMENT, rows_in
from tests.conftest import ROOT
from tests.disks import fill, small_disk

try:
    from pyarrow import parquet
except ModuleNotFoundError:
    parquet = None

HOURS = "hours,name\n1,a\n2,b\n3,c\n"

STRANGE = {
    "notes without an end.csv": b"my precious notes without newline",
    "a table.csv": b"hours,name\n1,a\n2,b",
    "a row of names.csv": b"row,hours",
    "a long name.csv": 200_000 * b"a" + b"\n",
    "an open cell.csv": b'row,error,"and so\non',
    "notes.jsonl": b"hello\n",
    "notes without an end.jsonl": b"hello",
    "a list.jsonl": b"[1]\n",
    "another object.jsonl": b'{"a": 1}\n',
    "an object with a row.jsonl": b'{"row": 1, "hours": 2}',
    "no text.jsonl": b"\xff\xfe\n",
    "an empty line.jsonl": b"\n",
    "deep lists.jsonl": 100_000 * b"[" + b"\n",
    "notes behind answers.jsonl": b'{"row": 1, "error": "no"}\nmy notes',
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_file_of_something_else_stays_as_it_is(ask: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(STRANGE[name])
    result = ask("pass", given=HOURS, out=name)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {name}")
    assert result.stderr.count("\n") == 1
    assert (tmp_path / name).read_bytes() == STRANGE[name]


@pytest.mark.skipif(parquet is None, reason="pyarrow is not installed")
def test_so_does_another_parquet_file_and_what_lies_where_answers_are_kept(
    ask: Any, tmp_path: Path
) -> None:
    import pyarrow

    parquet.write_table(pyarrow.table({"hours": [1.0], "row": [1]}), tmp_path / "hours.parquet")
    before = (tmp_path / "hours.parquet").read_bytes()
    result = ask("pass", given=HOURS, out="hours.parquet")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "hours.parquet is none of this command" in result.stderr
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("hours.parquet", before)]
    (tmp_path / "new.parquet.jsonl").write_text("notes")
    assert ask("pass", given=HOURS, out="new.parquet").returncode == 2
    assert (tmp_path / "new.parquet.jsonl").read_text() == "notes"


@pytest.mark.skipif(parquet is None, reason="pyarrow is not installed")
def test_what_was_refused_stands_in_parquet_beside_numbers(ask: Any, tmp_path: Path) -> None:
    """As text, which a column of Parquet has for all of its rows or for none."""
    result = ask("pass", given="hours\n1\n-1\nmany\n", out="o.parquet")
    assert (result.returncode, result.stderr.splitlines()[-1]) == (
        1,
        "1 answered in o.parquet, 2 failed, 0 skipped",
    )
    rows = parquet.read_table(tmp_path / "o.parquet").to_pylist()
    assert [row["hours"] for row in rows] == ["1.0", "-1", "many"]
    assert [isinstance(row["probability"], float) for row in rows] == [True, False, False]
    assert ask("pass", given="hours\n1\n-1\nmany\n4\n", out="o.parquet").returncode == 1
    rows = parquet.read_table(tmp_path / "o.parquet").to_pylist()
    assert [(row["row"], row["hours"]) for row in rows][2:] == [(3, "many"), (4, "4.0")]


@pytest.mark.skipif(parquet is None, reason="pyarrow is not installed")
def test_numbers_that_parquet_has_no_type_for_are_text(ask: Any, tmp_path: Path) -> None:
    import pyarrow

    ids = pyarrow.array([7, 2**64 - 1], pyarrow.uint64())
    parquet.write_table(pyarrow.table({"id": ids, "hours": [1.0, 2.0]}), tmp_path / "records.parquet")
    result = ask("pass", "records.parquet", out="o.parquet")
    assert result.returncode == 0, result.stderr
    rows = parquet.read_table(tmp_path / "o.parquet").to_pylist()
    assert [(row["row"], row["id"]) for row in rows] == [(1, "7"), (2, f"{2**64 - 1}")]


@pytest.mark.skipif(parquet is None, reason="pyarrow is not installed")
def test_of_parquet_that_a_full_disk_does_not_take_nothing_is_left_but_the_answers(
    ask: Any, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        (disk / "room").write_bytes(bytes(4096))  # for the answers alone
        fill(disk)
        (disk / "room").unlink()
        full = ask("pass", given=HOURS, out="disk/o.parquet")
        assert (full.returncode, full.stderr.count("\n")) == (2, 1)
        assert "No space left" in full.stderr
        assert full.stderr.endswith("disk/o.parquet.jsonl has all\n")
        assert {path.name for path in disk.iterdir()} == {"ballast", "o.parquet.jsonl"}
        (disk / "ballast").unlink()
        done = ask("pass", given=HOURS, out="disk/o.parquet")
        assert done.stderr == "0 answered in disk/o.parquet, 0 failed, 3 skipped\n"
        assert [path.name for path in disk.iterdir()] == ["o.parquet"]


@pytest.mark.parametrize("how", ["as a word", "by another path", "as standard input"])
def test_an_output_is_no_input(committed_server: httpx.Client, tmp_path: Path, how: str) -> None:
    # It looks like one of the command's own, or would be refused for what it is.
    table = tmp_path / "hours.csv"
    table.write_text("row,hours,error\n1,1,\n2,2")
    words = {"as a word": [table], "by another path": [tmp_path / "." / "link.csv"]}.get(how, ["-"])
    (tmp_path / "link.csv").symlink_to(table)
    command = [sys.executable, "-m", "abacus_cli", "predict", "pass", *map(str, words)]
    with table.open() as file:
        result = subprocess.run(
            [*command, "--out", "hours.csv", "--url", str(committed_server.base_url)],
            cwd=tmp_path,
            stdin=file,
            capture_output=True,
            text=True,
            env={**ENVIRONMENT, "PYTHONPATH": f"{ROOT}:{ENVIRONMENT['PYTHONPATH']}"},
        )
    assert result.returncode == 2
    assert result.stderr == "Error: hours.csv is what is asked about: name another --out\n"
    assert table.read_text() == "row,hours,error\n1,1,\n2,2"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_wherever_it_was_cut_off_it_is_gone_on_with(ask: Any, tmp_path: Path, form: str) -> None:
    given = 'hours,name\n1,"two\nlines"\n-1,\n3,"a ""word"""\n'
    whole, cut = tmp_path / f"whole.{form}", tmp_path / f"cut.{form}"
    assert ask("pass", given=given, out=whole.name).returncode == 1
    content = whole.read_bytes()
    first = content.index(b"\n") + 1
    # A CSV file without a whole row of names could be anybody's.
    places = [first, first + 10, content.index(b"lines") - (form == "csv"), len(content) - 1, len(content)]
    for place in places if form == "csv" else [0, 3, 20, *places]:
        cut.write_bytes(content[:place])
        assert ask("pass", given=given, out=cut.name).returncode == 1
        assert cut.read_bytes() == content, place


def test_what_cannot_be_written_is_said_in_a_line(committed_server: httpx.Client, tmp_path: Path) -> None:
    """And what was written before stays whole: the same command goes on."""
    (tmp_path / "hours.csv").write_text("hours\n" + 2_000 * "1\n")
    command = [sys.executable, "-m", "abacus_cli", "predict", "pass", "hours.csv", "--out", "o.jsonl"]

    def ask(most_bytes: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, "--url", str(committed_server.base_url)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**ENVIRONMENT, "PYTHONPATH": f"{ROOT}:{ENVIRONMENT['PYTHONPATH']}"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
        )

    result = ask(100_000)
    assert result.returncode == 2
    assert result.stderr == f"Error: o.jsonl cannot be written: {os.strerror(27)}\n"
    assert ask(100_000_000).returncode == 0
    rows = [json.loads(line)["row"] for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert rows == list(range(1, 2_001))


def test_answers_behind_a_failure_are_written(ask: Any, tmp_path: Path) -> None:
    """A column that is called `error` makes no failure of a row."""
    result = ask("pass", "--batch", "1", given="hours,error\n-1,x\n2,y\n3,z\n", out="o.csv")
    assert result.returncode == 1
    rows = rows_in(tmp_path / "o.csv")
    assert [(row["row"], row["given_error"], bool(row["error"])) for row in rows] == [
        ("1", "x", True),
        ("2", "y", False),
        ("3", "z", False),
    ]
    assert [bool(row["probability"]) for row in rows] == [False, True, True]


def test_failures_of_an_earlier_time_are_failures(ask: Any) -> None:
    for form in ("csv", "jsonl", *(["parquet"] if parquet else [])):
        asked = [ask("pass", given="hours\n-1\n", out=f"o.{form}") for _ in range(2)]
        assert [one.returncode for one in asked] == [1, 1]
        assert asked[1].stderr.endswith("0 failed, 1 skipped (1 had failed)\n")
