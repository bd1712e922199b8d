"""The way to a first answer, as it is counted and measured; nothing here depends on speed."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.first_minute.contestants import (
    CONTESTANTS,
    FIRST,
    INSTALLED,
    PYTHON,
    SCANS,
    Contestant,
    Step,
    written,
)
from benchmarks.first_minute.course import Course, WentWrong
from benchmarks.first_minute.given import give
from benchmarks.first_minute.table import ALL, BEGIN, END, put_into, table
from tests.conftest import ROOT

ABACUS, *PEERS = CONTESTANTS
PAGE = ROOT / "docs" / "coming-from.md"


def test_lines_are_those_that_say_something(tmp_path: Path) -> None:
    (tmp_path / "ask.py").write_text("# why\nimport a\n\n\nwith a:\n    b()  # what\n    \n")
    (tmp_path / "ask.mts").write_text("// why\nimport a\n")
    assert [written(tmp_path / name) for name in ("ask.py", "ask.mts")] == [3, 1]
    step = Step(("one", "two"), ("ask.py",), before=("three",), serve="four")
    assert step.lines(tmp_path) == 2 + 3 + 1 + 1


@pytest.mark.parametrize("contestant", CONTESTANTS, ids=lambda one: one.name)
def test_every_file_is_counted_at_one_aim(contestant: Contestant) -> None:
    counted = [file for step in contestant.steps.values() for file in step.files]
    assert sorted(counted) == sorted(path.name for path in contestant.files.iterdir() if path.is_file())
    assert contestant.steps.keys() == ABACUS.steps.keys()


def test_medians_are_shown_and_summed(tmp_path: Path) -> None:
    seconds = {one.name: {INSTALLED: [10.0], FIRST: [1.0, 9.0, 2.0]} for one in CONTESTANTS}
    text = table(seconds, {one.name: "1.2" for one in CONTESTANTS}, "two processors")
    lines = ABACUS.lines()
    rows = {line.split(" | ")[0].removeprefix("| "): line.split(" | ") for line in text.splitlines()}
    assert rows[FIRST][1:3] == [str(lines[FIRST]), "2.0"]
    assert rows[ALL][1:3] == [str(lines[INSTALLED] + lines[FIRST]), "12.0"]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nof long ago\n{END}after\n")
    put_into(page, text)
    assert page.read_text() == f"before\n{BEGIN}\n{text}\n{END}after\n"
    page.write_text("no place for it")
    with pytest.raises(ValueError, match="has no <!-- measured: begin -->"):
        put_into(page, text)


def test_the_page_has_the_lines_that_there_are() -> None:
    rows = re.findall(r"^\| (.+?) \|(.+)\|$", PAGE.read_text(encoding="utf-8").partition(BEGIN)[2], re.M)
    shown = {aim: [cell.strip() for cell in cells.split("|")][::2] for aim, cells in rows}
    for aim in ABACUS.steps:
        assert shown[aim] == [str(one.lines()[aim]) for one in CONTESTANTS]
    assert shown[ALL] == [str(sum(one.lines().values())) for one in CONTESTANTS]


def test_what_fails_says_why(tmp_path: Path) -> None:
    failing = Step(("true", "echo there is no such package >&2", "exit 3"))
    course = Course(replace(ABACUS, steps={INSTALLED: failing}), tmp_path)
    with pytest.raises(WentWrong, match="no such package"):
        course.install(lambda: None)


def test_our_way_leads_to_the_answers(tmp_path: Path) -> None:
    """With this environment's own packages instead of installed ones."""
    folder, commands = tmp_path / "given", tmp_path / "bin"
    give(folder, scans=12)
    commands.mkdir()
    for name, arguments in (("abacus", "-m abacus_cli"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        (commands / name).chmod(0o755)
    course = Course(
        ABACUS,
        folder,
        f"PATH={commands}:$PATH",
        PYTHONPATH=str(ROOT),
        SERVICE_ARTIFACTS=str(ROOT / "artifacts"),
    )
    reached = dict(course.run((SCANS, PYTHON)))
    assert list(reached) == [FIRST, SCANS, PYTHON]
    assert min(reached.values()) > 0
