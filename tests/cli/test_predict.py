"""`abacus predict`: many pictures and rows into a file, from a service that really answers."""

import io
import json
import math
import os
import pty
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from itertools import islice
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import httpx
import numpy as np
import pytest

from abacus_cli.bulk import Stopped
from abacus_cli.of_service import asking
from abacus_cli.table_files import standard_input
from abacus_client import Client
from tests.cli.asking import ENVIRONMENT, predict, rows_in
from tests.client.relay import refusal, relaying
from tests.conftest import ROOT, Digits, free_ports, png
from tests.pictures.numbers.drawn import ink_of, on_paper

try:
    from pyarrow import parquet
except ModuleNotFoundError:
    parquet = None

HOURS = "student,hours,passed\nAda,4,1\nBob,0.5,0\nEve,many,\nMia,2.5,1\n"


def test_a_folder_of_pictures_becomes_a_table_and_is_gone_on_with(
    ask: Any, scans: Path, tmp_path: Path, digits: Digits
) -> None:
    out = tmp_path / "answers.csv"
    first = ask("digit", "scans", "--out", "answers.csv")
    assert first.returncode == 1
    assert first.stdout == ""
    refused, summary = first.stderr.splitlines()
    assert refused.startswith("scans/notes.txt: ")
    assert summary == "20 answered in answers.csv, 1 failed, 0 skipped"
    rows = rows_in(out)
    pictures = sorted(str(path.relative_to(tmp_path)) for path in scans.rglob("*.png"))
    assert [row["file"] for row in rows] == [*pictures, "scans/notes.txt"]
    assert rows[-1]["error"]
    assert rows[-1]["digit"] == ""
    by_name = {Path(row["file"]).name: row for row in rows}
    right = [by_name[f"{i:02}.png"]["digit"] == str(digits.labels[i]) for i in range(20)]
    assert sum(right) >= 19
    assert sum(float(rows[0][f"probabilities_{d}"]) for d in range(10)) == pytest.approx(1, abs=1e-4)

    # Killed in the middle of a line: what has none is asked again, and nothing twice.
    kept = out.read_bytes()
    out.write_bytes(kept[: len(kept) // 2])
    again = ask("digit", "scans", "scans", "--out", "answers.csv")
    assert [(row["file"], row["digit"]) for row in rows_in(out)] == [(r["file"], r["digit"]) for r in rows]
    answered, failed, skipped = map(int, re.findall(r"(\d+) [aefs]", again.stderr.splitlines()[-1]))
    assert 0 < answered < 20
    assert (failed, answered + failed + skipped) == (1, 2 * 21)
    done = ask("digit", "scans", "--out", "answers.csv")
    assert done.returncode == 1, "one of them has no answer"
    assert done.stderr == "0 answered in answers.csv, 0 failed, 21 skipped (1 had failed)\n"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_an_output_in_the_folder_that_is_asked_about_is_no_picture(
    ask: Any, scans: Path, ending: str
) -> None:
    if ending == "parquet" and parquet is None:
        pytest.skip("pyarrow is not installed")
    for summary in ("20 answered in {}, 1 failed, 0", "0 answered in {}, 0 failed, 21"):
        out = f"scans/more/../answers.{ending}"
        done = ask("digit", "scans", "--out", out)
        assert done.stderr.splitlines()[-1].startswith(f"{summary.format(out)} skipped")
    (scans / "more" / f"answers.{ending}").write_text("of the same name, elsewhere")
    last = ask("digit", "scans", "--out", f"scans/answers.{ending}").stderr.splitlines()[-1]
    assert last == f"0 answered in scans/answers.{ending}, 1 failed, 21 skipped (1 had failed)"


def test_what_a_spreadsheet_would_compute_is_text_and_known_again(
    ask: Any, tmp_path: Path, digits: Digits
) -> None:
    """Names of files and columns, and cells that stand beside an answer."""
    names = ["=1+1.png", "+a.png", "@b.png", "'=c.png", "-2", "'7.png"]
    for name in names:
        (tmp_path / name).write_bytes(png(digits.images_u8[0]))
    table = "file,=note,number\n" + "".join(f'{name},"=HYPERLINK(""x"")","-1,5"\n' for name in names)
    (tmp_path / "list.csv").write_text(table)
    for count in ("6 answered", "0 answered"):
        done = ask("digit", "list.csv", "--out", "answers.csv")
        assert done.stderr.startswith(f"{count} in answers.csv, 0 failed, {6 - int(count[0])} skipped")
    rows = rows_in(tmp_path / "answers.csv")
    assert [row["file"] for row in rows] == ["'=1+1.png", "'+a.png", "'@b.png", "''=c.png", "-2", "'7.png"]
    assert {(row["'=note"], row["number"]) for row in rows} == {('\'=HYPERLINK("x")', "-1,5")}


def test_a_table_has_all_columns_whatever_comes_first(ask: Any, tmp_path: Path, digits: Digits) -> None:
    """What is null in the first answer is not in a later one."""
    (tmp_path / "a.png").write_bytes(png(digits.images_u8[0]))
    number = on_paper(ink_of(list(digits.images_u8[:3]), 6, np.random.default_rng(0)))
    (tmp_path / "b.png").write_bytes(png(number))
    assert ask("digit", "a.png", "b.png", "--out", "answers.csv").returncode == 0
    assert [row["reason"] for row in rows_in(tmp_path / "answers.csv")] == ["", "several_digits"]


def test_every_digit_is_one_text(ask: Any, tmp_path: Path, digits: Digits) -> None:
    for name, at in (("a.png", 0), ("b.png", 4)):
        number = on_paper(ink_of(list(digits.images_u8[at : at + 4]), 6, np.random.default_rng(0)))
        (tmp_path / name).write_bytes(png(number))
    (tmp_path / "c.png").write_text("no picture")
    result = ask("digit", "a.png", "b.png", "c.png", "--each", "--out", "answers.csv")
    assert result.returncode == 1
    rows = rows_in(tmp_path / "answers.csv")
    assert list(rows[0]) == [
        "file", "text", "confidence", "out_of_distribution", "model", "version", "error"
    ]  # fmt: skip
    texts = ["".join(map(str, digits.labels[at : at + 4])) for at in (0, 4)]
    assert [row["text"] for row in rows] == [*texts, ""]
    assert ask("pass", "--each", given=HOURS).returncode == 2


def test_paths_come_through_a_pipe_and_answers_go_through_one(ask: Any, scans: Path) -> None:
    paths = sorted(map(str, scans.glob("*.png")))
    result = ask("digit", given="".join(f"{path}\n" for path in [*paths, "missing.png"]))
    assert result.returncode == 1
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["file"] for answer in answers] == [*paths, "missing.png"]
    assert all(len(answer["probabilities"]) == 10 for answer in answers[:-1])
    assert "missing.png" in answers[-1]["error"]
    assert ask("digit", "-", given=paths[0]).returncode == 0
    result = ask("digit", "-", given="a.png\0\n\udcff.png\n")
    assert (result.returncode, result.stdout.count('"error"'), result.stderr.count("\n")) == (1, 2, 3)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_rows_of_a_csv_file_keep_what_stands_beside_them(ask: Any, tmp_path: Path, form: str) -> None:
    (tmp_path / "records.csv").write_text(HOURS)
    out = tmp_path / f"answers.{form}"
    result = ask("pass", "records.csv", "--out", out.name)
    assert result.returncode == 1
    assert result.stderr.splitlines()[0].startswith("3: ")
    rows: list[dict[str, Any]] = (
        rows_in(out) if form == "csv" else [json.loads(line) for line in out.read_text().splitlines()]
    )
    assert [(str(row["row"]), row["student"], bool(row.get("error"))) for row in rows] == [
        ("1", "Ada", False),
        ("2", "Bob", False),
        ("3", "Eve", True),
        ("4", "Mia", False),
    ]
    assert float(rows[0]["probability"]) > 0.8
    again = ask("pass", "--out", out.name, given=HOURS + "Zoe,9,1\n")
    said = f"1 answered in {out.name}, 0 failed, 4 skipped (1 had failed)\n"
    assert (again.returncode, again.stderr) == (1, said)


@pytest.mark.parametrize(
    ("words", "given", "code", "said"),
    [
        (
            ("digit", "x.png", "--out", "answers.xls"),
            "",
            2,
            "answers.xls is to end in .csv, .jsonl or .parquet",
        ),
        (("digit", "x.png", "--out", "/dev/null/a.csv"), "", 2, "/dev/null/a.csv cannot be written"),
        (("digit", "x.png", "--out", "other.csv"), "", 2, "other.csv has no columns 'file' and 'error'"),
        (("pass", "missing.csv"), "", 2, "missing.csv cannot be read: No such file"),
        (("pass", "a.csv", "b.csv"), "", 2, "pass takes the rows of one CSV or Parquet file"),
        (("digit", "other.csv"), "", 2, "other.csv has no column file, which names pictures"),
        (("pass", "other.csv"), "", 2, "other.csv has no column hours, which pass takes"),
        (("pass",), "", 2, "- has no column hours"),
        (("nothing", "x.png"), "", 3, "nothing"),
        (("\udcff", "x.png"), "", 2, "is no name of a model"),
        (("pass", "\udcff.csv"), "", 2, "cannot be read: No such file"),
        (("pass", "--api-key", "é"), "", 2, "This cannot be sent: 'ascii' codec"),
        (("pass", "--timeout", "inf"), "", 2, "The timeout is a number of seconds above 0, and at most"),
        (("pass", "--timeout", "1e10"), "", 2, "The timeout is a number of seconds above 0, and at most"),
        (("digit", "x.png", "--url", "nowhere"), "", 2, ""),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    ask: Any, tmp_path: Path, words: Sequence[str], given: str, code: int, said: str
) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    result = predict(tmp_path, *words) if "--url" in words else ask(*words, given=given)
    assert (result.returncode, result.stdout) == (code, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert (tmp_path / "other.csv").read_text() == "a,b\n1,2\n"


def test_who_does_not_answer_is_no_failure_of_a_file(tmp_path: Path) -> None:
    with socket.socket() as silent:  # bound, so that nobody else answers there
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        result = predict(tmp_path, "digit", "x.png", "--out", "answers.csv", "--url", url)
    assert result.returncode == 3
    assert not (tmp_path / "answers.csv").exists()


@pytest.fixture
def screen() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


def test_a_terminal_shows_how_far_it_is(
    committed_server: httpx.Client, scans: Path, tmp_path: Path, screen: tuple[int, int]
) -> None:
    ours, theirs = screen
    command = [sys.executable, "-m", "abacus_cli", "predict", "digit", str(scans), "--out", "answers.csv"]
    command += ["--url", str(committed_server.base_url)]
    environment = {**ENVIRONMENT, "TERM": "xterm", "PYTHONPATH": f"{ROOT}:{ENVIRONMENT['PYTHONPATH']}"}
    shown = b""
    with subprocess.Popen(command, cwd=tmp_path, stderr=theirs, env=environment) as process:
        os.close(theirs)
        with suppress(OSError):  # nobody writes any longer
            while some := os.read(ours, 1 << 16):
                shown += some
    assert process.returncode == 1
    assert b"21/21" in shown
    assert b"/s" in shown


def test_a_table_names_pictures_and_what_stands_beside_them(ask: Any, scans: Path, tmp_path: Path) -> None:
    (scans / "list.csv").write_text("file,label,who\n00.png,7,Ada\nmore/01.png,2,Bob\nnone.png,3,Eve\n")
    result = ask("digit", "scans/list.csv", "--out", "answers.csv")
    assert result.returncode == 1
    rows = rows_in(tmp_path / "answers.csv")
    assert [(row["file"], row["given_label"], row["who"], bool(row["error"])) for row in rows] == [
        ("scans/00.png", "7", "Ada", False),
        ("scans/more/01.png", "2", "Bob", False),
        ("scans/none.png", "3", "Eve", True),
    ]
    assert rows[0]["digit"].isdigit()
    assert "label" not in rows[0]
    again = ask("digit", "scans", "--out", "answers.csv")
    assert again.stderr.endswith("18 answered in answers.csv, 2 failed, 2 skipped\n")


@pytest.mark.skipif(parquet is None, reason="pyarrow is not installed")
def test_rows_and_pictures_come_from_parquet(ask: Any, scans: Path, tmp_path: Path) -> None:
    import pyarrow

    hours = {"hours": [4, None, 0.5], "day": [date(2026, 1, 2)] * 3, "mark": [math.nan, 1.0, 2.0]}
    parquet.write_table(pyarrow.table(hours), tmp_path / "records.parquet")
    result = ask("pass", "records.parquet")
    assert result.returncode == 1
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["row"], row["day"], row["mark"], "error" in row) for row in rows] == [
        (1, "2026-01-02", None, False),
        (2, "2026-01-02", 1.0, True),
        (3, "2026-01-02", 2.0, False),
    ]
    assert rows[0]["probability"] > 0.8
    parquet.write_table(pyarrow.table({"file": ["00.png", "more/01.png"]}), scans / "list.parquet")
    result = ask("digit", "scans/list.parquet")
    assert result.returncode == 0, result.stderr
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == [
        "scans/00.png",
        "scans/more/01.png",
    ]
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "records.parquet").read_bytes()[:-100])
    result = ask("pass", "cut.parquet")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "cut.parquet cannot be read" in result.stderr


@pytest.mark.skipif(parquet is None, reason="pyarrow is not installed")
def test_parquet_has_the_same_and_is_gone_on_with(ask: Any, scans: Path, tmp_path: Path) -> None:
    assert ask("digit", "scans/more", "--out", "answers.parquet").returncode == 0
    shutil.rmtree(scans / "more")
    assert ask("digit", "scans", "--out", "answers.parquet").returncode == 1
    rows = parquet.read_table(tmp_path / "answers.parquet").to_pylist()
    assert [bool(row["error"]) for row in rows] == [False] * 20 + [True]
    assert {type(row["digit"]) for row in rows[:20]} == {int}
    assert [path.name for path in tmp_path.glob("*.parquet*")] == ["answers.parquet"]


@pytest.mark.skipif(parquet is not None, reason="pyarrow is installed")
def test_parquet_says_what_it_needs(ask: Any, tmp_path: Path) -> None:
    result = ask("digit", "x.png", "--out", "answers.parquet")
    assert result.returncode == 2
    assert result.stderr == "Error: answers.parquet needs pyarrow: pip install 'abacus-serving[parquet]'\n"
    assert list(tmp_path.iterdir()) == []
    result = ask("pass", "records.parquet")
    assert result.stderr == "Error: records.parquet needs pyarrow: pip install 'abacus-serving[parquet]'\n"


def test_rows_come_from_a_file_that_can_be_read_once(ask: Any, tmp_path: Path) -> None:
    """As a shell's `<(…)` is one."""
    pipe = tmp_path / "rows.csv"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_text, args=(HOURS,))
    writer.start()
    result = ask("pass", "rows.csv")
    writer.join()
    assert (result.returncode, len(result.stdout.splitlines())) == (1, 4)


def test_names_of_files_need_not_be_utf_8(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9.png\n"), "utf-8"))
    assert list(standard_input()) == ["caf\udce9.png\n"]


def silent() -> Iterator[bytes]:
    """No answer, until its client has long given up."""
    sleep(3)
    yield b""


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        *((refusal(status), f"answered {status}") for status in (401, 502, 504)),
        (
            refusal(
                503, "0", '{"type":"about:blank","title":"","status":503,"detail":"None","request_id":""}'
            ),
            "None",
        ),
        (silent(), "no answer in time"),
    ],
    ids=["401", "502", "504", "503", "nothing"],
)
def test_what_stands_before_a_service_that_is_gone_is_no_failure_of_a_row(
    committed_server: httpx.Client, answer: Any, why: str
) -> None:
    rows = iter([{"hours": hours} for hours in range(4)])
    with relaying(str(committed_server.base_url)) as relay:
        relay.first.extend([None, answer])
        with Client(relay.address, retries=0, concurrency=1, timeout=1) as client:
            answers = asking(client, "pass", batch=2)(rows)
            assert len(list(islice(answers, 2))) == 2
            with pytest.raises(Stopped, match=why):
                next(answers)


def test_a_service_that_is_gone_when_the_first_is_asked_about_stops_the_command() -> None:
    (port,) = free_ports(1)
    with Client(f"http://127.0.0.1:{port}", retries=0) as client, pytest.raises(Stopped, match="refused"):
        list(asking(client, "pass")(iter([{"hours": 1}])))
