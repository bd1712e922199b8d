"""The supervisor over real processes: who is replaced, when it gives up, and how a stop goes on."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from service.workers.stages import Stage
from tests.conftest import ROOT, wait_for, workers_of

CUT_OFF, DRAIN, LEAVE, SERVE = Stage.CUT_OFF, Stage.DRAIN, Stage.LEAVE, Stage.SERVE


@pytest.mark.parametrize(
    ("numbers", "stages"),
    [
        ([signal.SIGTERM] * 3, [DRAIN, LEAVE, LEAVE]),
        ([signal.SIGINT] * 3, [LEAVE, CUT_OFF, CUT_OFF]),
        ([signal.SIGTERM, signal.SIGINT, signal.SIGTERM], [DRAIN, LEAVE, LEAVE]),
        ([signal.SIGQUIT, signal.SIGQUIT], [LEAVE, CUT_OFF]),
    ],
)
def test_where_signals_lead(numbers: list[signal.Signals], stages: list[Stage]) -> None:
    stage, seen = SERVE, []
    for number in numbers:
        stage = stage.after(number)
        seen.append(stage)
    assert seen == stages


class Supervised(NamedTuple):
    process: subprocess.Popen[bytes]
    log: Path

    def says(self, pattern: str, times: int = 1) -> bool:
        return len(re.findall(pattern, self.log.read_text())) >= times

    def ends(self) -> int:
        return self.process.wait(timeout=120)

    def workers(self) -> list[psutil.Process]:
        return workers_of(psutil.Process(self.process.pid))


Supervise = Callable[[str], Supervised]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    with _supervising(tmp_path) as start:
        yield start


@contextmanager
def _supervising(folder: Path) -> Iterator[Supervise]:
    started = []

    def start(way: str) -> Supervised:
        log = folder / "log"
        command = [sys.executable, "-m", "tests.workers.supervised", way, str(folder)]
        with log.open("wb") as file:
            process = subprocess.Popen(command, cwd=ROOT, stderr=file, start_new_session=True)
        started.append(process)
        return Supervised(process, log)

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_slow_start_is_no_hang_but_has_its_time(supervise: Supervise) -> None:
    """The first has its time; the second, the control, takes longer than that."""
    supervised = supervise("slow-start")
    wait_for(lambda: supervised.says("is ready after", 2))
    log = supervised.log.read_text()
    assert re.search(r"worker \d+ was not ready for \d+ s: it is killed", log)
    assert re.search(r"worker \d+ was ended by SIGKILL before it was ready", log)
    assert log.count("restart\n") == 1


def test_one_that_hangs_is_replaced_and_the_log_says_why(supervise: Supervise) -> None:
    supervised = supervise("hangs")
    wait_for(lambda: supervised.says("is ready after", 3))
    assert supervised.says(r"worker \d+ has not answered for \d+ s: it is killed")
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.ends() == 0
    assert supervised.log.read_text().count("it is killed") == 1  # the other one had nothing to fear


def test_a_machine_that_slept_kills_nobody(supervise: Supervise) -> None:
    supervised = supervise("sleeps")
    wait_for(lambda: supervised.says("is ready after", 2))
    os.killpg(supervised.process.pid, signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        supervised.process.wait(timeout=9)  # longer than the silence that is allowed
    os.killpg(supervised.process.pid, signal.SIGCONT)
    with pytest.raises(subprocess.TimeoutExpired):
        supervised.process.wait(timeout=1)  # time to kill them
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.ends() == 0
    assert "it is killed" not in supervised.log.read_text()


@pytest.mark.parametrize(("way", "starts"), [("broken", 2), ("never", 6)])
def test_where_none_ever_starts_it_gives_up(supervise: Supervise, way: str, starts: int) -> None:
    supervised = supervise(way)
    assert supervised.ends() == 3
    log = supervised.log.read_text()
    assert "no worker could start" in log
    assert log.count("restart\n") <= starts
    assert "serving" not in log


def test_one_that_cannot_start_again_is_tried_again_ever_more_slowly(supervise: Supervise) -> None:
    supervised = supervise("fails-later")
    wait_for(lambda: supervised.says("is ready after", 4))
    log = supervised.log.read_text()
    assert log.count("was ended by SIGKILL\n") == 2
    assert log.count("ended with exit code 1 before it was ready") == 2
    # Two, unless one of them is ready again before the other has failed.
    assert re.search(r"[12] start\(s\) in a row failed, the next one is in 1 s", log)
    assert log.count("serving") == 1


def test_sighup_replaces_one_after_the_other_and_keeps_two_serving(supervise: Supervise) -> None:
    supervised = supervise("serves")
    wait_for(lambda: supervised.says("is ready after", 2))
    before = supervised.workers()
    supervised.process.send_signal(signal.SIGHUP)
    wait_for(lambda: supervised.says("ended with exit code 0", 2))
    assert supervised.says("is ready after", 4)
    assert len(supervised.workers()) == 2
    assert not set(before) & set(supervised.workers())
    assert "restart\n" not in supervised.log.read_text()


def test_where_the_system_has_nothing_left_workers_go_on_and_it_is_asked_again(
    supervise: Supervise,
) -> None:
    """After a pause: who has no process or descriptor left has none a moment later either."""
    supervised = supervise("crowded")
    wait_for(lambda: supervised.says("is ready after", 2))
    supervised.process.send_signal(signal.SIGHUP)
    wait_for(lambda: supervised.says("ended with exit code 0", 2))
    log = supervised.log.read_text()
    assert re.findall(r"no worker can be started: \[Errno (\d+)", log) == ["11", "24"]
    looks = [float(at) for at in re.findall(r"look at ([\d.]+)", log)]
    assert all(later - earlier >= 1 for earlier, later in pairwise(looks))
    assert "restart\n" not in log


def test_a_second_sigterm_skips_the_wait(supervise: Supervise) -> None:
    supervised = supervise("waits")
    wait_for(lambda: supervised.says("is ready after", 2))
    supervised.process.send_signal(signal.SIGTERM)
    wait_for(lambda: supervised.says(r"told \[1\]", 2))
    assert supervised.process.poll() is None
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.ends() == 0


def test_who_is_ready_just_before_a_signal_is_told_and_not_killed(supervise: Supervise) -> None:
    """It may hold requests. The signal and its word are both there when the supervisor looks."""
    supervised = supervise("ready-late")
    wait_for(lambda: supervised.says(r"worker \d begins", 2))
    supervised.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: supervised.says(r"worker \d is there", 2))
    supervised.process.send_signal(signal.SIGTERM)
    supervised.process.send_signal(signal.SIGCONT)
    assert supervised.ends() == 0
    assert supervised.says(r"told \[1\]", 2)


def test_a_worker_that_does_not_stop_is_killed_and_that_is_no_success(supervise: Supervise) -> None:
    supervised = supervise("deaf")
    wait_for(lambda: supervised.says("is ready after", 2))
    supervised.process.send_signal(signal.SIGINT)
    supervised.process.send_signal(signal.SIGINT)
    assert supervised.ends() == 1
    assert supervised.says("has not stopped for", 2)
