"""Several processes that train one model, as torchrun starts them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest, read_model
from tests.conftest import ROOT, free_ports
from tests.training import by_ranks
from tests.training.pictures.conftest import write
from training.commands import cli
from training.publishing.archive import weights

pytestmark = pytest.mark.usefixtures("one_thread")

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
LIMIT_S = 240
LONGER = ("--epochs", "40")  # than it takes to look at it
Weights = dict[str, torch.Tensor]

by_torchrun = pytest.mark.ranks


def torchrun(*words: str, processes: int = 2) -> list[str]:
    (port,) = free_ports(1)
    several = ["--nproc-per-node", str(processes), "--master-port", str(port)]
    return [*TORCHRUN, *several, *words]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=LIMIT_S
    )


def test_two_compute_what_one_does(tmp_path: Path) -> None:
    done = run(torchrun("-m", "tests.training.by_ranks", str(tmp_path / "found.pt")))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = torch.load(tmp_path / "found.pt", weights_only=True)
    alone = by_ranks.digits()
    assert torch.allclose(found["digits"], alone, rtol=0, atol=1e-5)
    assert not torch.allclose(found["unweighted"], alone, rtol=0, atol=1e-5), "the control"
    first, second = found["pictures"]
    assert torch.equal(first, second), "the weights of all are the same, to the bit"
    first, second = found["random"]
    assert not torch.equal(first, second), "each draws numbers of its own"
    assert found["last"] == "done", "what is lost once all is done is no error"
    assert "Warning: another process of this training has ended" in done.stderr


def test_a_command_for_one_process_is_refused_to_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    command = ["pass", "--out", str(tmp_path)]
    assert "Error: WORLD_SIZE is set and LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT not" in refused(command)
    for name, value in {"LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert "Error: pass is the work of one process: call it without torchrun" in refused(command)
    monkeypatch.setenv("RANK", "first")
    assert "have to be numbers" in refused(command)
    assert list(tmp_path.iterdir()) == []


def refused(command: list[str]) -> str:
    done = CliRunner().invoke(cli, command)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    return done.stderr


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("pictures") / "colours", count=21)


def training(colours: Path, folder: Path, *options: str) -> list[str]:
    words = ["-m", "training", "picture", "--data", str(colours), "--device", "cpu", "--epochs", "6"]
    return [*words, "--out", str(folder), "--checkpoints", str(folder / "runs"), *options]


def published(folder: Path) -> Weights:
    version = ArtifactStore(folder).folder("object", 1)
    return weights(read_model(version, read_manifest(version)))


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@by_torchrun
def test_one_process_of_torchrun_is_one_without_it(tmp_path: Path, colours: Path) -> None:
    for name, start in (("alone", [sys.executable]), ("torchrun", torchrun(processes=1))):
        done = run([*start, *training(colours, tmp_path / name)])
        assert done.returncode == 0, done.stderr
    assert same(published(tmp_path / "alone"), published(tmp_path / "torchrun"))


@by_torchrun
def test_two_learn_as_much_and_the_first_alone_publishes_and_tells(tmp_path: Path, colours: Path) -> None:
    done = run(torchrun(*training(colours, tmp_path)))
    assert done.returncode == 0, done.stderr
    for line in ("classes of pictures", "epoch 6:", "Published object version 1", "object/1 is live"):
        assert done.stdout.count(line) == 1, line
    store = ArtifactStore(tmp_path)
    assert store.versions("object") == [1]
    manifest = read_manifest(store.folder("object", 1))
    assert manifest.metric("accuracy", "test").value == 1
    assert manifest.training
    assert manifest.training.hyperparameters["processes"] == 2
    assert list((tmp_path / "runs").iterdir()) == []


@by_torchrun
@pytest.mark.parametrize("killed", [0, 1])
def test_what_lost_a_process_goes_on_and_ends_as_if_nothing_had_been(
    tmp_path: Path, colours: Path, killed: int
) -> None:
    folder = tmp_path / "killed"
    with started(torchrun(*training(colours, folder, *LONGER))) as process:
        wait_for(lambda: any((folder / "runs").glob("object-*.pt")))
        os.kill(rank_of(process.pid, killed), signal.SIGKILL)
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert "Error: another process of this training has ended" in errors
    assert ("the same command with --resume goes on from there" in errors) == (killed == 1)
    assert not (folder / "object" / "1").exists()
    done = run(torchrun(*training(colours, folder, *LONGER, "--resume-if-any")))
    assert done.returncode == 0, done.stderr
    assert ": going on after epoch" in done.stderr
    done = run(torchrun(*training(colours, tmp_path / "never", *LONGER, "--resume-if-any")))
    assert done.returncode == 0, done.stderr
    assert same(published(folder), published(tmp_path / "never"))


@by_torchrun
def test_a_node_that_is_lost_is_joined_again(tmp_path: Path, colours: Path) -> None:
    """Two torchruns, each as on a machine of its own; it ends as if the node had never been lost."""
    folder = tmp_path / "lost"
    words = training(colours, folder, *LONGER, "--resume-if-any")
    with both(words) as (first, second):
        wait_for(lambda: any((folder / "runs").glob("object-*.pt")))
        lost = children(second.pid)
        for process in (second.pid, *lost):
            os.kill(process, signal.SIGKILL)
        _, errors = first.communicate(timeout=LIMIT_S)
    assert first.returncode == 1
    assert "the same command with --resume goes on from there" in errors
    with both(words) as again:
        ends = [process.communicate(timeout=LIMIT_S) for process in again]
    assert [process.returncode for process in again] == [0, 0]
    assert ": going on after epoch" in ends[0][1]
    assert ["object/1 is live" in output for output, _ in ends] == [True, False]
    done = run(torchrun(*training(colours, tmp_path / "never", *LONGER)))
    assert done.returncode == 0, done.stderr
    assert same(published(folder), published(tmp_path / "never"))


@contextmanager
def both(words: list[str]) -> Iterator[tuple[subprocess.Popen[str], subprocess.Popen[str]]]:
    launch = torchrun(*words, processes=1)
    start = launch.index("--nproc-per-node")
    node = ["--nnodes", "2", "--master-addr", "127.0.0.1", "--node-rank"]
    commands = [[*launch[:start], *node, str(rank), *launch[start:]] for rank in (0, 1)]
    with started(commands[0]) as first, started(commands[1]) as second:
        yield first, second


@by_torchrun
def test_one_goes_on_with_what_two_began(tmp_path: Path, colours: Path) -> None:
    with started(torchrun(*training(colours, tmp_path, *LONGER))) as process:
        wait_for(lambda: any((tmp_path / "runs").glob("object-*.pt")))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT_S)
    assert "Error: " in errors
    assert "the same command with --resume goes on from there" in errors
    done = run([sys.executable, *training(colours, tmp_path, *LONGER, "--resume")])
    assert done.returncode == 0, done.stderr
    assert "Warning: 2 processes then and 1 now" in done.stdout


@by_torchrun
def test_when_the_first_cannot_all_end(tmp_path: Path, colours: Path) -> None:
    (tmp_path / "file").touch()
    done = run(torchrun(*training(colours, tmp_path / "file")))
    assert done.returncode == 1
    assert "Error: --out" in done.stderr
    assert "exitcode  : 2" in done.stderr, "torchrun says with what it ended"


@by_torchrun
def test_other_pictures_on_another_machine_are_refused(tmp_path: Path, colours: Path) -> None:
    other = write(tmp_path / "other", count=11)
    words = training(colours, tmp_path)
    chosen = f"""'{colours}' if __import__('os').environ['RANK'] == '0' else '{other}'"""
    script = tmp_path / "each.py"
    script.write_text(
        f"import sys\nfrom training.__main__ import main\nif __name__ == '__main__':\n"
        f"    words = {words[2:]!r}\n    words[words.index({str(colours)!r})] = {chosen}\n    main(words)\n"
    )
    done = run(torchrun(str(script)))
    assert done.returncode == 1
    assert "Error: the pictures of process 1 are others than those of process 0" in done.stderr


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:  # which closes its pipes, read or not
        try:
            yield process
        finally:
            process.terminate()
            process.wait(LIMIT_S)


def rank_of(torchrun_pid: int, rank: int) -> int:
    (found,) = (
        child
        for child in children(torchrun_pid)
        if f"\0RANK={rank}\0".encode() in Path(f"/proc/{child}/environ").read_bytes()
    )
    return found


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.1)
