"""Batches are the same however many processes augment them, and these end with the one that asked."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.conftest import ROOT, wait_for
from tests.training.pictures.conftest import write
from training.data import Rows
from training.fitting import batches
from training.fitting.batches import Batch, Batches
from training.fitting.interruption import SIGNALS, Interrupted, deferred, interruptible
from training.fitting.ranks import Ranks

ROWS = Rows(torch.arange(1000.0)[:, None], torch.arange(1000))

TRAINS_UNTIL_KILLED = """
import os
from tests.training.test_batches import ROWS
from training.fitting import batches

def tells_its_process(rows):
    os.write(1, b"%d\\n" % os.getpid())
    return rows.repeat(1, 100_000)

batches.usable_cpus = lambda: 4
both = batches.Batches(ROWS, 10, tells_its_process, workers=2)
while True:
    for batch in both:
        pass
"""


BY_A_WORKER = """
from training.fitting import batches, checkpoint
from training.pictures import picture_training
checkpoint.SHARE_OF_TIME = 1e9  # every epoch is kept
batches.usable_cpus = lambda: 2
phases = picture_training.phases
picture_training.phases = lambda *how: [phase._replace(workers=1) for phase in phases(*how)]
from training.__main__ import main
main()
"""


def moved(rows: Tensor) -> Tensor:
    return rows + torch.rand_like(rows)


def impossible(_rows: Tensor) -> Tensor:
    raise ValueError("no such picture")


def drawn(monkeypatch: pytest.MonkeyPatch, cores: int) -> list[Batch]:
    """Of two epochs."""
    monkeypatch.setattr(batches, "usable_cpus", lambda: cores)
    torch.manual_seed(5)
    both = Batches(ROWS, 64, moved, workers=4)
    return [*both, *both]


@pytest.mark.parametrize("cores", [2, 4])
def test_they_are_the_same_however_many_processes_augment(
    monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    alone, many = drawn(monkeypatch, 1), drawn(monkeypatch, cores)
    state = torch.get_rng_state()
    assert len(alone) == len(many) == 32
    for one, other in zip(alone, many, strict=True):
        assert torch.equal(one.rows.inputs, other.rows.inputs)
        assert torch.equal(one.rows.targets, other.rows.targets)
    drawn(monkeypatch, 1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more than this machine has cores
@pytest.mark.parametrize(("cores", "processes"), [(1, 0), (2, 2), (3, 2), (6, 3), (64, 4)])
def test_two_cores_have_two_processes_and_more_have_half_as_many(
    monkeypatch: pytest.MonkeyPatch, cores: int, processes: int
) -> None:
    monkeypatch.setattr(batches, "usable_cpus", lambda: cores)
    others = set(active_children())
    with Batches(ROWS, 64, moved, workers=4) as both:
        next(iter(both))
        assert len(set(active_children()) - others) == processes


def test_every_epoch_has_every_row_once_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    both = drawn(monkeypatch, 2)
    first, second = (torch.cat([batch.rows.targets for batch in epoch]) for epoch in (both[:16], both[16:]))
    assert torch.equal(first.sort().values, ROWS.targets)
    assert torch.equal(second.sort().values, ROWS.targets)
    assert not torch.equal(first, second)
    shifts = torch.cat([batch.rows.inputs[:, 0] - batch.rows.targets for batch in both])
    assert shifts.unique().numel() > 1900, "each row is moved by its own amount, each time"


def test_the_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "usable_cpus", lambda: 2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with Batches(ROWS, 64, moved, workers=4):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with Batches(ROWS, 64, moved):
            assert torch.get_num_threads() == 2, "it takes next to nothing"
        with Batches(ROWS, 64, None, workers=4):
            assert torch.get_num_threads() == 2, "there is nothing to do"
        with Batches(ROWS, 64, moved, Ranks(0, 2, 0, 2), workers=4):
            assert torch.get_num_threads() == 2, "the other core is another rank's"
    finally:
        torch.set_num_threads(before)


def test_what_an_augmentation_fails_on_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "usable_cpus", lambda: 2)
    with pytest.raises(ValueError, match="no such picture"):
        list(Batches(ROWS, 64, impossible, workers=1))


def test_a_killed_training_leaves_no_process() -> None:
    """With workers whose next batches do not fit into their pipes."""
    with subprocess.Popen([sys.executable, "-c", TRAINS_UNTIL_KILLED], stdout=subprocess.PIPE) as training:
        assert training.stdout
        workers = {int(training.stdout.readline()) for _ in range(20)}
        training.kill()
    assert len(workers) == 2
    assert training.pid not in workers
    deadline = time.monotonic() + 60
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < deadline, f"{workers} still run"
        time.sleep(0.1)


@pytest.fixture
def under_way(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A training that has kept an epoch, and the process that augments for it."""
    pictures = write(tmp_path / "colours", count=21)
    words = ["picture", "--data", str(pictures), "--device", "cpu", "--epochs", "1000"]
    folders = ["--out", str(tmp_path / "artifacts"), "--checkpoints", str(tmp_path / "runs")]
    command = [sys.executable, "-c", BY_A_WORKER, *words, *folders]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as training:
        deadline = time.monotonic() + 200
        while not any((tmp_path / "runs").glob("object-*.pt")):
            assert training.poll() is None, training.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (worker,) = map(int, Path(f"/proc/{training.pid}/task/{training.pid}/children").read_text().split())
        yield training, worker
        training.kill()


def test_a_training_whose_worker_is_killed_says_what_it_has_kept(
    under_way: tuple[subprocess.Popen[str], int],
) -> None:
    training, worker = under_way
    os.kill(worker, signal.SIGKILL)
    _, errors = training.communicate(timeout=200)
    assert training.returncode == 1, errors
    assert "Error: another process of this training has ended; " in errors
    assert "the same command with --resume goes on from there" in errors
    assert "Traceback" not in errors


def test_a_signal_for_its_worker_alone_is_not_heard_and_one_for_all_interrupts_it(
    under_way: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    training, worker = under_way
    for number in SIGNALS:
        os.kill(worker, number)
    (checkpoint,) = (tmp_path / "runs").glob("object-*.pt")
    before = checkpoint.stat().st_mtime_ns
    wait_for(lambda: checkpoint.stat().st_mtime_ns > before)
    assert is_running(worker)
    for process in (training.pid, worker):
        os.kill(process, signal.SIGTERM)
    _, errors = training.communicate(timeout=200)
    assert training.returncode == 128 + signal.SIGTERM, errors
    assert "Error: interrupted; " in errors
    assert "Traceback" not in errors


def test_a_signal_that_comes_while_a_batch_is_made_is_heard_afterwards() -> None:
    """What it raised within would leave locks held that the end of the workers waits for."""
    made = []

    def signalled(rows: Tensor) -> Tensor:
        os.kill(os.getpid(), signal.SIGTERM)
        made.append(len(rows))
        return rows

    with interruptible(), Batches(ROWS, 4, signalled) as batches, pytest.raises(Interrupted):
        next(iter(batches))
    assert made == [4]


def test_a_signal_that_comes_while_workers_are_ended_is_heard_afterwards() -> None:
    done = []

    def end_workers() -> None:
        with deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("all of them")

    with interruptible(), pytest.raises(Interrupted):
        end_workers()
    assert done


def is_running(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
