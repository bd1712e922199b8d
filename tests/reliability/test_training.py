"""Training beside a running service, and training that is ended early."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from typer.testing import CliRunner

from service.artifacts.store import ArtifactStore
from tests.conftest import QUIET, ROOT, Digits, digit_candidate, served, wait_for
from training import pass_recipe
from training.commands import cli
from training.data import lecture_hours
from training.digits.digit_nets import DigitNet, softmax_mlp
from training.fitting.fit import Phase, fit
from training.pass_recipe import LECTURE, SUMMED_LOSS
from training.publishing.activation import Activation
from training.publishing.archive import weights
from training.publishing.publish import publish

Report = Callable[[str, str, str], None]


def uninterrupted(epochs: int) -> dict[str, list[float]]:
    net, hp = pass_recipe.start(lecture_hours(), replace(LECTURE, epochs=epochs), seed=0)
    fit(net, SUMMED_LOSS, lecture_hours(), [Phase(hp)], QUIET)
    return {name: value.tolist() for name, value in net.state_dict().items()}


def test_trainings_that_are_ended_early(tmp_path: Path, long: bool, figure: Report) -> None:
    endings = [signal.SIGKILL, signal.SIGINT] + 6 * [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP] * long
    epochs = 8000 if long else 4000
    moments = random.Random(0)
    runs, environment = tmp_path / "runs", {**os.environ, "OMP_NUM_THREADS": "1"}
    options = ["pass", "--out", str(tmp_path), "--epochs", str(epochs), "--checkpoints", str(runs)]
    resume: list[str] = []
    for number in endings:
        process = subprocess.Popen(
            [sys.executable, "-m", "training", *options, *resume],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        assert process.stdout.readline().startswith("mini-batch")
        time.sleep(moments.uniform(0, 0.05))
        process.send_signal(number)
        _, errors = process.communicate(timeout=240)
        assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
        assert ("--resume goes on from there" in errors) == (number != signal.SIGKILL)
        assert "Traceback" not in errors
        resume = ["--resume"]
    resumed = CliRunner().invoke(cli, [*options, "--resume"])
    assert resumed.exit_code == 0, resumed.stderr
    assert "going on after epoch" in resumed.stderr
    assert list(runs.glob("*")) == []
    model = (tmp_path / "pass" / "1" / "model.pt").read_bytes()
    ours = {name: value.tolist() for name, value in weights(model).items()}
    equal = ours == uninterrupted(epochs)
    figure(
        f"a training ended by {len(endings)} signals, resumed each time",
        "the weights of one that never was",
        "equal to the bit" if equal else "others",
    )
    assert equal
    assert ours != uninterrupted(epochs - 1), "the control: one epoch less gives others"


def test_a_worse_version_beside_a_running_service(
    published: Path, tmp_path: Path, digits: Digits, figure: Report
) -> None:
    shutil.copytree(published, tmp_path / "artifacts")
    store, told = ArtifactStore(tmp_path / "artifacts"), list[str]()
    candidate = digit_candidate(DigitNet(softmax_mlp()), torch.from_numpy(digits.images_u8[:10])[:, None])
    worse = replace(candidate, metrics=(candidate.metrics[0].model_copy(update={"value": 0.05}),))
    with served("--artifacts", str(store.root), "--reload-s", "0.1") as service:
        publish(worse, store, activation=Activation(None, told.append))
        time.sleep(1)
        kept = service.client.get("/models/digit").json()["version"]
        publish(worse, store, activation=Activation(True))  # the control: asked for, it is taken up
        wait_for(lambda: service.client.get("/models/digit").json()["version"] == 3)
    figure("a worse version is published beside a running service", "the live one stays", told[0])
    assert kept == 1
    assert "is 0.05 and was 0.1" in told[0]
