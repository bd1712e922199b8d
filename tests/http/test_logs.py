"""The log as people read it at a terminal, and as programs read it."""

import json
import logging
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest

from service.http.logs import formatter
from service.option_types import LogFormat
from tests.conftest import ROOT

TIME = r"\d\d:\d\d:\d\d"
HOSTILE = "refused: \x1b[2J\r\x07a\u2028b"


def logged(log_format: LogFormat, message: str, **extra: Any) -> str:
    error = extra.pop("error", None)
    record = logging.LogRecord("service.app", logging.WARNING, "app.py", 1, message, (), None)
    record.exc_info = (type(error), error, None) if error else None
    record.__dict__.update(extra)
    return formatter(log_format).format(record)


@contextmanager
def terminal() -> Iterator[int]:
    """Standard error is one; what it shows is read here."""
    ours, theirs = pty.openpty()
    with open(theirs, "w") as screen, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        yield ours
    os.close(ours)


def test_people_read_time_level_and_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    with terminal():
        line = logged("text", "a model is refused", model="digit")
        first, *below = logged("text", "it failed", error=ValueError("of\x1b[2J this")).splitlines()
        document = logged("json", "it")
        monkeypatch.setenv("NO_COLOR", "1")
        plain = logged("text", "a model is refused", model="digit")
    level, rest = r"\x1b\[33mwarning \x1b\[0m", r"\x1b\[2mmodel=digit\x1b\[0m"
    assert re.fullmatch(rf"\x1b\[2m{TIME}\x1b\[0m {level} a model is refused {rest}", line)
    assert re.fullmatch(rf"{TIME} warning  a model is refused model=digit", plain)
    assert first.endswith(" it failed")
    assert below == [r"ValueError: of\x1b[2J this"]
    assert json.loads(document)["event"] == "it"  # a program may well read a terminal


def test_programs_read_logfmt() -> None:
    line = logged("text", 'a "model" is = refused', model="digit", nothing=None, path="C:\\new x")
    pairs = dict(word.split("=", 1) for word in shlex.split(line))
    assert pairs.pop("timestamp").endswith("Z")
    assert pairs == {
        "level": "warning",
        "logger": "service.app",
        "event": 'a "model" is = refused',
        "model": "digit",
        "nothing": "",
        "path": "C:\\new x",
    }


@pytest.mark.parametrize("where", [terminal, nullcontext])
def test_nothing_that_others_wrote_begins_a_line_or_acts_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, where: Callable[[], AbstractContextManager[object]]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with where():
        line = logged("text", f"{HOSTILE}\nx", path=HOSTILE)
    assert line.isprintable()
    assert r"\x1b[2J\r\x07a" in line.replace("\\\\", "\\")


def test_a_service_at_a_terminal_logs_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    command = [sys.executable, "-m", "service", "--port", "0"]
    environment = {**os.environ, "SERVICE_PROT": "1"}  # which is remarked on before anything is loaded
    with (
        terminal() as ours,
        subprocess.Popen(command, cwd=ROOT, stderr=sys.stderr, env=environment) as process,
    ):
        shown = os.read(ours, 65536).decode()
        process.terminate()
    assert re.match(rf"\x1b\[2m{TIME}\x1b\[0m \x1b\[33mwarning \x1b\[0m The environment variable", shown)
