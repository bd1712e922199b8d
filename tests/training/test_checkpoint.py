"""Interrupted training: what is resumed ends with the same weights as what never stopped."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import QUIET, ROOT, Digits, mnist_rows
from tests.workers.slow_import import NAPS
from training.digits.digit_recipe import CROSS_ENTROPY, RECIPES, Recipe, start
from training.fitting import checkpoint as checkpoint_module
from training.fitting.checkpoint import Checkpoint, CheckpointUnusable, Settings
from training.fitting.fit import History, fit

SETTINGS: Settings = {"recipe": "tiny", "seed": 5}


class Stopped(Exception):
    """What ends a fit here."""


class StopsAfter(Checkpoint):
    """Ends the fit once it has kept so many epochs."""

    epochs = 0

    def keep(self, done: int, epochs: int, state: Callable[[], dict[str, Any]]) -> None:
        super().keep(done, epochs, state)
        if done == self.epochs:
            raise Stopped


@pytest.fixture(autouse=True)
def every_epoch_is_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """And one thread, as several wait for each other on processors that others use."""
    monkeypatch.setattr(checkpoint_module, "SHARE_OF_TIME", 1e9)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny_fit(
    recipe: Recipe, digits: Digits, checkpoint: Checkpoint | None = None
) -> tuple[Tensor, History]:
    """Thirteen epochs, of which the cnn's last is of refining; all that was fitted, buffers included."""
    rows = mnist_rows(digits)
    train, validation = rows.take(torch.arange(48)), rows.take(torch.arange(450, 500))
    hp = replace(recipe.hyperparameters, epochs=13, batch_size=24, bfloat16=False)
    net = start(recipe, 5)
    fitted, history = fit(net, CROSS_ENTROPY, train, recipe.phases(hp), QUIET, validation, checkpoint)
    return torch.cat([v.flatten().double() for v in fitted.state_dict().values()]), history


@pytest.mark.parametrize(("recipe", "after"), [("softmax-mlp", 4), ("softmax-mlp", 13), ("cnn", 12)])
def test_what_is_resumed_equals_what_never_stopped(
    tmp_path: Path, digits: Digits, recipe: str, after: int
) -> None:
    uninterrupted, history = tiny_fit(RECIPES[recipe], digits)
    stopping = StopsAfter(tmp_path, resume=False, tell=str)
    stopping.epochs = after
    stopping.open("digit", SETTINGS)
    with pytest.raises(Stopped):
        tiny_fit(RECIPES[recipe], digits, stopping)
    told: list[str] = []
    resuming = Checkpoint(tmp_path, resume=True, tell=told.append)
    resuming.open("digit", SETTINGS)
    torch.manual_seed(99)  # whatever happened in between
    resumed, resumed_history = tiny_fit(RECIPES[recipe], digits, resuming)
    assert torch.equal(resumed, uninterrupted)
    assert resumed_history == history
    assert f"after epoch {after} of 13" in told[0]

    if after < 13:  # the control: without the state of the random numbers they are others
        assert resuming.resumed
        torch.manual_seed(99)
        resuming.resumed["random"] = [{"cpu": torch.get_rng_state(), "cuda": None}]
        assert not torch.equal(tiny_fit(RECIPES[recipe], digits, resuming)[0], uninterrupted)


def kept(folder: Path, settings: Settings = SETTINGS, name: str = "digit") -> Checkpoint:
    checkpoint = Checkpoint(folder, resume=False, tell=str)
    checkpoint.open(name, settings)
    checkpoint.keep(3, 9, lambda: {"weights": torch.zeros(3)})
    return checkpoint


def test_a_checkpoint_of_another_training_is_refused_with_what_differs(tmp_path: Path) -> None:
    kept(tmp_path)
    resuming = Checkpoint(tmp_path, resume=True, tell=str)
    with pytest.raises(CheckpointUnusable, match=r"another training: seed 5 there and 6 here$"):
        resuming.open("digit", {**SETTINGS, "seed": 6})
    kept(tmp_path, name="pass-by-two")  # which begins likewise, and is another
    with pytest.raises(CheckpointUnusable, match="nothing to resume"):
        resuming.check("pass", required=True)
    resuming.check("digit", required=True)


def test_a_folder_that_cannot_be_looked_into_is_told(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 300)
    with pytest.raises(CheckpointUnusable, match="cannot be read: File name too long"):
        Checkpoint(folder, resume=True, tell=str).check("digit", required=True)
    told: list[str] = []
    again = Checkpoint(folder, resume=True, if_any=True, tell=told.append)
    again.check("digit", required=False)
    again.open("digit", SETTINGS)
    assert [line.count("no checkpoint can be kept") for line in told] == [1]


def test_what_is_started_again_by_itself_begins_where_its_own_file_is_not_there(tmp_path: Path) -> None:
    kept(tmp_path)
    for settings, epoch in (({**SETTINGS, "seed": 6}, None), (SETTINGS, 3)):
        told: list[str] = []
        again = Checkpoint(tmp_path, resume=True, if_any=True, tell=told.append)
        again.check("digit", required=True)
        again.open("digit", settings)
        assert bool(again.resumed) == bool(epoch)
        assert [f"after epoch {epoch} of 9" in line for line in told] == ([True] if epoch else [])


def test_only_tensors_and_plain_values_are_read(tmp_path: Path) -> None:
    kept(tmp_path)
    (path,) = tmp_path.glob("*.pt")
    marker = tmp_path / "ran"

    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(marker),)

    for content in (b"", b"no archive", path.read_bytes()[:-200]):
        path.write_bytes(content)
        with pytest.raises(CheckpointUnusable, match="no checkpoint of a training"):
            Checkpoint(tmp_path, resume=True, tell=str).open("digit", SETTINGS)
    torch.save({"format": checkpoint_module.FORMAT, "state": Code()}, path)
    with pytest.raises(CheckpointUnusable, match="no checkpoint of a training"):
        Checkpoint(tmp_path, resume=True, tell=str).open("digit", SETTINGS)
    assert not marker.exists()


def test_other_threads_are_told(tmp_path: Path) -> None:
    kept(tmp_path)
    told: list[str] = []
    torch.set_num_threads(2)
    Checkpoint(tmp_path, resume=True, tell=told.append).open("digit", SETTINGS)
    assert "may differ in the last digits: threads 1 then and 2 now" in told[0]


def test_a_training_that_starts_anew_keeps_what_was_there(tmp_path: Path) -> None:
    kept(tmp_path)
    told: list[str] = []
    Checkpoint(tmp_path, resume=False, tell=told.append).open("digit", SETTINGS)
    assert "which --resume would have gone on from" in told[0]
    assert [path.suffix for path in tmp_path.iterdir()] == [".previous"]


def test_once_a_model_is_published_there_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    checkpoint = kept(tmp_path)
    assert "--resume" in checkpoint.last_words()
    checkpoint.discard()
    assert (checkpoint.last_words(), list(tmp_path.iterdir())) == ("", [])


def test_a_disk_that_is_full_does_not_end_a_training(tmp_path: Path) -> None:
    told: list[str] = []
    checkpoint = Checkpoint(tmp_path, resume=False, tell=told.append)
    checkpoint.open("digit", SETTINGS)
    with no_file_larger_than(100):
        for epoch in (1, 2):
            checkpoint.keep(epoch, 9, lambda: {"weights": torch.zeros(99)})
        assert checkpoint.last_words() == ""
    assert [line.count("File too large; training goes on") for line in told] == [1]
    assert list(tmp_path.iterdir()) == []
    assert "holds epoch 2 of 9; the same command with --resume" in checkpoint.last_words()


@contextmanager
def no_file_larger_than(limit: int) -> Iterator[None]:
    """What a full disk is, where nothing can be mounted."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_every_signal_has_its_exit_code_also_before_torch_is_there(number: signal.Signals) -> None:
    code = (
        f"{NAPS}import sys, types\nsys.modules['training.commands'] = commands = types.ModuleType('c')\n"
        "commands.cli = lambda *_, **__: print('ready \u2192', flush=True) or naps(60)\n"
        "from training.__main__ import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready ?\n", "also where the terminal has no such character"
    process.send_signal(number)
    _, errors = process.communicate(timeout=240)
    assert (process.returncode, errors.count("\n")) == (128 + number, 1)
