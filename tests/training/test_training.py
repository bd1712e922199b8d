"""Training: the recipes compute what the lectures say, and the commands behave as commands."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn
from torchvision.datasets import MNIST
from typer.testing import CliRunner, Result

from service.artifacts.remote.store import RemoteStore
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest
from service.engine.ways import torchscript_accepted
from tests.conftest import BASELINE, COMMITTED, CPU, QUIET, ROOT, Digits, digit_candidate, mnist_rows
from training import record
from training.commands import cli
from training.data import DataUnavailable, Rows, lecture_hours, read_hours
from training.digits import augment, mnist
from training.digits.digit_nets import ConvNet, DigitNet, RejectingDigitNet
from training.digits.digit_recipe import (
    CNN,
    CROSS_ENTROPY,
    KAIMING_MLP,
    RECIPES,
    SCORED,
    SOFTMAX_MLP,
    Recipe,
)
from training.digits.digit_recipe import start as start_digit
from training.digits.mnist import load_mnist, split_validation
from training.fitting.fit import Diverged, Hyperparameters, Objective, Phase, fit
from training.pass_net import PassNet
from training.pass_recipe import LECTURE, SUMMED_LOSS, start, train_pass
from training.preflight import store_at
from training.publishing.activation import Publication
from training.publishing.publish import publish


def gradient_descent(w: float, b: float, epochs: int) -> tuple[float, float]:
    """The lecture's logistic regression once more, in float64 NumPy, gradients by hand."""
    hours, passed = np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 1.0])
    for _ in range(epochs):
        error = 1 / (1 + np.exp(-(w * hours + b))) - passed  # d(summed BCE)/d(logit)
        w, b = w - 0.01 * (error * hours).sum(), b - 0.01 * error.sum()
    return float(w), float(b)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_logistic_regression_equals_gradient_descent_by_hand(seed: int) -> None:
    net, hp = start(lecture_hours(), LECTURE, seed)
    w, b = net.coefficients()
    fit(net, SUMMED_LOSS, lecture_hours(), [Phase(hp)], QUIET)
    assert net.coefficients() == pytest.approx(gradient_descent(w, b, 1000), abs=1e-4)


def test_the_lecture_s_hyperparameters() -> None:
    assert (LECTURE.epochs, LECTURE.learning_rate, LECTURE.batch_size) == (1000, 0.01, 3)
    hp = SOFTMAX_MLP.hyperparameters
    assert (hp.learning_rate, hp.momentum, hp.batch_size, hp.epochs) == (0.01, 0.5, 64, 10)
    hp = KAIMING_MLP.hyperparameters
    assert (hp.learning_rate, hp.momentum, hp.batch_size, hp.epochs) == (0.01, 0, 200, 10)


def test_a_user_s_many_records_converge_to_the_maximum_likelihood() -> None:
    """500 students, up to 40 hours: the lecture's step would diverge here."""
    generator = torch.Generator().manual_seed(0)
    hours = torch.rand(500, 1, generator=generator) * 40
    passed = (torch.rand(500, 1, generator=generator) < torch.sigmoid(0.3 * hours - 5)).float()
    net, hp = start(Rows(hours, passed), replace(LECTURE, batch_size=500), 0)
    fit(net, SUMMED_LOSS, Rows(hours, passed), [Phase(hp)], QUIET)
    w, b = net.coefficients()
    residual = 1 / (1 + np.exp(-(w * hours.double().numpy() + b))) - passed.double().numpy()
    gradient = np.array([(residual * hours.numpy()).mean(), residual.mean()])
    assert np.abs(gradient).max() < 1e-2
    assert w == pytest.approx(0.3, abs=0.06)
    assert b == pytest.approx(-5, abs=1)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_every_recipe_learns_and_the_same_seed_gives_the_same_weights(
    recipe: Recipe, digits: Digits
) -> None:
    rows = mnist_rows(digits)
    train, validation = rows.take(torch.arange(400)), rows.take(torch.arange(400, 500))
    hp = replace(recipe.hyperparameters, epochs=3, batch_size=32)

    def run(seed: int) -> tuple[list[float], torch.Tensor]:
        net = start_digit(recipe, seed)
        fitted, history = fit(net, CROSS_ENTROPY, train, recipe.phases(hp), QUIET, validation)
        return history.train_loss, torch.cat([p.flatten() for p in fitted.parameters()])

    losses, weights = run(seed=5)
    assert losses[-1] < losses[0]
    assert torch.equal(weights, run(seed=5)[1])
    assert not torch.equal(weights, run(seed=6)[1])


@pytest.mark.parametrize("can", [True, False])
def test_bfloat16_is_for_processors_that_can(
    can: bool, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others would take some 20 times as long, and say nothing."""
    monkeypatch.setattr("training.fitting.learner.computes", lambda *_: can)
    hp = replace(CNN.hyperparameters, epochs=1, batch_size=8)
    assert hp.bfloat16, "the control"
    computed_in = set[torch.dtype]()

    def forward(net: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        computed_in.add(torch.nn.functional.linear(torch.ones(1, 1), torch.ones(1, 1)).dtype)
        return CROSS_ENTROPY.forward(net, images)

    rows = mnist_rows(digits).take(torch.arange(16))
    fit(DigitNet(SOFTMAX_MLP.body()), Objective(forward, CROSS_ENTROPY.loss), rows, [Phase(hp)], QUIET)
    assert computed_in == {torch.bfloat16 if can else torch.float32}
    assert hp.on(CPU).as_dict()["bfloat16"] is can


def test_the_epoch_of_the_lowest_validation_loss_is_kept(digits: Digits) -> None:
    rows = mnist_rows(digits)
    train, validation = rows.take(torch.arange(200)), rows.take(torch.arange(200, 500))
    hp = Hyperparameters(epochs=12, batch_size=16, learning_rate=0.05, momentum=0.9)
    torch.manual_seed(0)
    net, history = fit(DigitNet(SOFTMAX_MLP.body()), CROSS_ENTROPY, train, [Phase(hp)], QUIET, validation)
    lowest = min(history.validation_loss)
    assert history.selected_epoch < 12, "the last epoch was the best: this proves nothing"
    assert history.validation_loss[history.selected_epoch - 1] == lowest
    kept = CROSS_ENTROPY.loss(CROSS_ENTROPY.forward(net, validation.inputs), validation.targets)
    assert kept.item() == pytest.approx(lowest)


def test_a_later_phase_starts_from_the_best_weights_so_far(digits: Digits) -> None:
    rows = mnist_rows(digits)
    train, validation = rows.take(torch.arange(200)), rows.take(torch.arange(200, 500))
    hp = Hyperparameters(epochs=12, batch_size=16, learning_rate=0.05, momentum=0.9)
    still = Phase(replace(hp, epochs=1, learning_rate=0.0))
    torch.manual_seed(0)
    net = DigitNet(SOFTMAX_MLP.body())
    _, history = fit(net, CROSS_ENTROPY, train, [Phase(hp), still], QUIET, validation)
    *training, last = history.validation_loss
    assert last == pytest.approx(min(training))
    assert last < training[-1] - 0.01, "the last epoch was the best: this proves nothing"


@pytest.mark.parametrize("batches", range(1, 12))
def test_a_fit_of_any_number_of_batches_warms_up(digits: Digits, batches: int) -> None:
    train = mnist_rows(digits).take(torch.arange(8 * batches))
    hp = Hyperparameters(
        epochs=1, batch_size=8, learning_rate=0.1, momentum=0.9, schedule="one-cycle", warm_up_share=0.2
    )
    net, history = fit(DigitNet(SOFTMAX_MLP.body()), CROSS_ENTROPY, train, [Phase(hp)], QUIET)
    assert len(history.train_loss) == 1
    assert all(parameter.isfinite().all() for parameter in net.parameters())


def test_a_recipe_ends_in_refining_where_there_are_epochs_for_it() -> None:
    training, refining = CNN.phases(CNN.hyperparameters)
    assert (training.hyperparameters.epochs, training.augment) == (96, augment.distort_as_prepared)
    assert (refining.hyperparameters.epochs, refining.augment) == (8, augment.coarsened)
    assert refining.hyperparameters.learning_rate == 0.01
    assert [phase.augment for phase in CNN.phases(replace(CNN.hyperparameters, epochs=3))] == [
        augment.distort_as_prepared
    ]
    assert len(SOFTMAX_MLP.phases(SOFTMAX_MLP.hyperparameters)) == 1


def test_the_running_loss_is_told_every_300_mini_batches() -> None:
    console = Console(record=True, file=StringIO())
    _, history = fit(PassNet(), SUMMED_LOSS, lecture_hours(), [Phase(LECTURE)], console)
    assert [batch for batch, _ in history.running_loss] == [300, 600, 900]
    assert re.findall(r"mini-batch (\d+): running loss [\d.]+", console.export_text()) == [
        "300",
        "600",
        "900",
    ]


def test_a_loss_that_is_no_number_stops_training(digits: Digits) -> None:
    hp = Hyperparameters(epochs=5, batch_size=50, learning_rate=1e6)
    with pytest.raises(Diverged, match="lower the learning rate"):
        fit(DigitNet(SOFTMAX_MLP.body()), CROSS_ENTROPY, mnist_rows(digits), [Phase(hp)], QUIET)


def test_validation_rows_are_always_the_same_and_never_trained_on() -> None:
    rows = Rows(torch.arange(6000).reshape(6000, 1), torch.arange(6000))
    train, validation = split_validation(rows)
    assert (len(train.inputs), len(validation.inputs)) == (1000, 5000)
    assert set(train.targets.tolist()) | set(validation.targets.tolist()) == set(range(6000))
    torch.manual_seed(1)
    assert torch.equal(validation.targets, split_validation(rows)[1].targets)


def test_augmentation_keeps_units_and_the_digit(digits: Digits) -> None:
    torch.manual_seed(0)
    images_u8 = torch.from_numpy(digits.images_u8[:100]).unsqueeze(1)
    distorted = augment.distort(images_u8)
    assert distorted.shape == images_u8.shape
    assert distorted.min() >= 0
    assert distorted.max() <= 255.01  # interpolation rounds
    ink = distorted.sum((1, 2, 3)) / images_u8.sum((1, 2, 3))
    assert ((ink > 0.6) & (ink < 1.5)).all()
    assert not torch.equal(distorted, images_u8.float())


def test_a_share_of_a_batch_comes_with_few_pixels_and_prepared(digits: Digits) -> None:
    torch.manual_seed(0)
    images_u8 = torch.from_numpy(digits.images_u8[:300]).unsqueeze(1)
    images = augment.coarsened(images_u8)
    few = int(300 * augment.COARSE_SHARE)
    assert (images.shape, images.dtype) == (images_u8.shape, torch.float32)
    assert torch.equal(images[few:], images_u8[few:].float())
    coarse = images[:few]
    assert not (coarse == images_u8[:few]).flatten(1).all(1).any()
    assert (coarse.amax((1, 2, 3)) == 255).all()
    similar = torch.cosine_similarity(coarse.flatten(1), images_u8[:few].flatten(1).float())
    assert similar.median() > 0.8, "no longer the digits that they were"
    assert (coarse.diff(dim=3).abs().amax((1, 2, 3)) < 255).all()  # blurred, as pixels are large


def test_a_broader_pen_adds_up_to_so_many_pixels_on_every_side() -> None:
    torch.manual_seed(0)
    dots = torch.zeros(200, 1, 28, 28, dtype=torch.uint8)
    dots[:, :, 14, 14] = 255
    most = torch.tensor([1, 3]).repeat(100)
    thick = augment.thickened(dots, most)
    assert (thick.shape, thick.dtype) == (dots.shape, torch.float32)
    assert (thick[:, 0, 14, 14] == 255).all()
    sides = (thick[:, 0, 14] > 0).sum(1)
    assert set(sides[most == 1].tolist()) == {3}
    assert set(sides[most == 3].tolist()) == {3, 5, 7}
    assert (thick[:, 0, 14, 13] >= 255 * augment.LEAST_THICKER).all()
    assert augment.thickened(dots[:0], most[:0]).shape == (0, 1, 28, 28)


def test_what_tells_what_is_no_digit_learns_digits_beside_things_and_on_few_pixels(digits: Digits) -> None:
    rows = mnist_rows(digits).take(torch.arange(40))
    learnt = CNN.digits(rows, QUIET)
    assert (learnt.shape, learnt.dtype) == ((40 + 4 + 8 + 8, 1, 28, 28), torch.uint8)
    assert torch.equal(learnt[:40], rows.inputs)
    ink = learnt.double().mean((1, 2, 3))
    assert ink[-8:].mean() > 1.2 * ink[-16:-8].mean(), "the last are by a broad pen"
    for _ in range(2):  # whatever torch has drawn before, and what it draws next is left as it was
        state = torch.random.get_rng_state()
        assert torch.equal(learnt, CNN.digits(rows, QUIET))
        assert torch.equal(state, torch.random.get_rng_state())
        torch.manual_seed(1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: the columns must be hours,passed"),
        ("hours;passed\n1;0\n", "line 1: the columns"),
        ("hours\n1\n", "line 1: the columns must be hours,passed, and it is 'hours'"),
        ("hours,passed\n1,0\ntwo,1\n", "line 3, column hours: 'two'"),
        ("hours,passed\n1,0\n-2,1\n", "line 3, column hours: '-2'"),
        ("hours,passed\n1,0\nnan,1\n", "line 3, column hours: 'nan'"),
        ("hours,passed\n1,0\ninf,1\n", "line 3, column hours: 'inf'"),
        ("hours,passed\n1,0\n1_000,1\n", "line 3, column hours: '1_000'"),
        ("hours,passed\n1,0\n,1\n", "line 3, column hours: ''"),
        ("hours,passed\n1,0\n1e39,1\n", "line 3, column hours: '1e39' is more than a float32"),
        ("hours,passed\n1,0\n3.4028236e38,1\n", "line 3, column hours: '3.4028236e38' is more"),
        ("hours,passed\n1,0\n1e400,1\n", "line 3, column hours: '1e400' is more than a float32"),
        ("hours,passed\n1,0\n1e-50,1\n", "line 3, column hours: '1e-50' is less than a float32"),
        ("hours,passed\n1,0\n2,yes\n", "line 3, column passed: 'yes'"),
        ("hours,passed\n1,0\n2,2\n", "line 3, column passed: '2'"),
        ("hours,passed\n1,0\n2\n", "line 3: 1 columns instead of 2"),
        ("hours,passed\n1,0\n2,1,3\n", "line 3: 3 columns instead of 2"),
        ("hours,passed\n1,1\n2,1\n", "both 0s and 1s"),
        ("hours,passed\n", "both 0s and 1s"),
        ('hours,passed\n1,"0\n', "line 2: not a CSV"),
        ('hours,passed\n1,0\n"1"2,0\n', "line 3: not a CSV"),
        ("hours,passed\n1,0\n" + "1" * 20_000, "line 3 is longer than 10,000 characters"),
        ("hours,passed\n1,0\n\xff,1\n", "line 3 is not UTF-8"),
        ("\xff\xfeh\x00o\x00u\x00", "line 1 is not UTF-8"),
        ("\x00\xff", "line 1 is not UTF-8"),
    ],
)
def test_a_bad_csv_is_refused_by_line_and_column(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "records.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataUnavailable, match=re.escape(complaint)) as caught:
        read_hours(path)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_a_spreadsheet_s_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_bytes("\ufeffHours, Passed\r\n1.5,0\r\n\r\n3 , 1\r\n".encode())
    assert read_hours(path).inputs.tolist() == [[1.5], [3.0]]


@pytest.mark.parametrize("hours", [(1e38, 3e38, 3.4e38), (0.0, 1e-30, 3e38), (1e20, 1e20, 1e20)])
def test_hours_of_any_size_that_a_float32_can_hold_are_trained_on(hours: tuple[float, ...]) -> None:
    rows = Rows(torch.tensor([hours]).T, torch.tensor([[0.0], [0.0], [1.0]]))
    net, hp = start(rows, replace(LECTURE, epochs=20), 0)
    _, history = fit(net, SUMMED_LOSS, rows, [Phase(hp)], QUIET)
    assert np.isfinite(history.train_loss).all()
    assert history.train_loss[-1] < history.train_loss[0] + 1e-6
    assert np.isfinite(net.coefficients()).all()


def test_the_lecture_s_records_as_a_csv_give_the_lecture_s_model(tmp_path: Path) -> None:
    (tmp_path / "records.csv").write_text("hours,passed\n1,0\n2,0\n3,1\n")
    store = ArtifactStore(tmp_path / "out")
    own = train_pass(Publication(store), QUIET, device=CPU, csv=tmp_path / "records.csv")[1]
    assert own.coefficients() == train_pass(Publication(store), QUIET, device=CPU)[1].coefficients()


def write_mnist(root: Path, digits: Digits, copies_to_train: int = 11) -> None:
    """500 pictures, repeated to 5,500, in MNIST's own file format."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, copies in (("train", copies_to_train), ("t10k", 1)):
        images, labels = np.tile(digits.images_u8, (copies, 1, 1)), np.tile(digits.labels, copies)
        header = struct.pack(">IIII", 2051, len(images), 28, 28)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = struct.pack(">II", 2049, len(labels))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def run_here(*arguments: str) -> Result:
    """Where torch is already; a failure is one that the command tells."""
    result = CliRunner().invoke(cli, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_digit_command_publishes_a_complete_version(
    tmp_path: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist, "VALIDATION_ROWS", 500)
    write_mnist(tmp_path / "data", digits, copies_to_train=2)
    out = tmp_path / "out"
    options = ("--data", str(tmp_path / "data"), "--out", str(out), "--epochs", "2", "--seed", "3")
    result = run_here("digit", "--recipe", "softmax-mlp", *options)
    assert result.exit_code == 0, result.stderr
    assert "Published digit version 1" in result.stdout
    folder = out / "digit" / "1"
    manifest = read_manifest(folder)
    assert manifest.record.recipe == "softmax-mlp"
    assert (manifest.record.seed, manifest.record.hyperparameters["epochs"]) == (3, 2)
    assert manifest.metric("accuracy", "test").n == 500
    files = {str(p.relative_to(folder)) for p in folder.rglob("*.p*")}
    pictures = {f"report/{name}.png" for name in ("curves", "confusion", "mistakes", "reliability")}
    assert files == {"model.pt", *pictures, *(f"samples/{d}.png" for d in range(10))}


def test_the_cnn_is_evaluated_and_published_again(
    tmp_path: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Most of the time goes into what is drawn: 5,000 in other styles, and what is no digit.
    monkeypatch.setattr(mnist, "VALIDATION_ROWS", 500)
    monkeypatch.setitem(RECIPES, "cnn", replace(CNN, negatives=0.5))
    write_mnist(tmp_path / "data", digits, copies_to_train=2)
    out = tmp_path / "out"
    options = ("--data", str(tmp_path / "data"), "--out", str(out))
    trained = CliRunner().invoke(cli, ["digit", "--recipe", "cnn", "--epochs", "1", *options])
    assert trained.exit_code == 0, trained.output
    report = tmp_path / "report"
    evaluate = ["evaluate", "digit", "--digits", "10", "--report", str(report), "--publish", *options]
    result = CliRunner().invoke(cli, evaluate)
    assert result.exit_code == 0, result.output
    for text in ("colour", "shadow", "worst", "photographs", "Published digit version 2"):
        assert text in result.stdout
    first, second = (read_manifest(out / "digit" / version) for version in ("1", "2"))
    assert second.sha256 == first.sha256
    assert second.metrics[: len(first.metrics)] == first.metrics
    assert second.metric("accuracy-everything-at-once", "drawn").n == 10
    assert second.metric("called-no-digit", "other").n == 10
    assert second.metric("non-digits-flagged", "drawn").n == 10 * 12
    assert 0 < second.metric("accuracy", "other").value < 1
    assert 0 <= second.metric("expected-calibration-error", "test").value < 1
    assert second.output.score is not None
    assert second.output.row_shape == (11,)
    assert float(str(second.record.hyperparameters["temperature"])) > 0
    card = (out / "digit" / "2" / "report" / "report.md").read_text()
    for heading in ("Model details", "Intended use", "Caveats", "Robustness", "no digit", "elsewhere"):
        assert heading in card
    assert "a threshold of 0.8% false alarms" in card
    for picture in re.findall(r"\]\((\w+\.png)\)", card):
        assert (out / "digit" / "2" / "report" / picture).is_file()

    recalibrated = CliRunner().invoke(cli, ["recalibrate", "--version", "1", *options])
    assert recalibrated.exit_code == 0, recalibrated.output
    images_u8 = torch.from_numpy(digits.images_u8[:100]).unsqueeze(1)
    # The archives themselves: a load takes whichever way is quicker, and those differ in the last digits.
    with torch.inference_mode(), torchscript_accepted():
        before, after = (torch.jit.load(out / "digit" / v / "model.pt")(images_u8) for v in ("1", "3"))
    torch.testing.assert_close(before[:, :10], after[:, :10])
    assert first.record.hyperparameters["rejector_epochs"] == 1
    hyperparameters = read_manifest(out / "digit" / "3").record.hyperparameters
    assert hyperparameters["rejector_epochs"] == 1
    assert hyperparameters["weights_of_version"] == 1
    assert hyperparameters["epochs"] == 1


def test_only_what_gives_a_score_is_evaluated_and_recalibrated(tmp_path: Path) -> None:
    shutil.copytree(BASELINE, tmp_path / "digit" / "1")
    options = ("--version", "1", "--out", str(tmp_path))
    result = run_here("evaluate", "digit", *options, "--report", str(tmp_path / "report"))
    assert result.exit_code == 1
    assert "gives no score" in result.stderr
    result = run_here("recalibrate", *options)
    assert result.exit_code == 1
    assert "nothing that is fitted after its weights" in result.stderr


def test_the_net_of_an_older_recipe_is_not_recalibrated(tmp_path: Path, digits: Digits) -> None:
    convolution = nn.Conv2d(1, 4, 4, stride=4)
    head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 49, 10))
    narrow = ConvNet(convolution, nn.Identity(), head, channels=2 * 4)
    net = RejectingDigitNet(narrow).eval()
    older = digit_candidate(net, torch.from_numpy(digits.images_u8[:10]).unsqueeze(1))
    assert older.training
    record = older.training.model_copy(update={"recipe": "cnn"})
    publish(replace(older, output=SCORED, training=record), ArtifactStore(tmp_path))
    result = run_here("recalibrate", "--out", str(tmp_path))
    assert result.exit_code == 1
    assert "digit/1 is a net of another form than today's cnn" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_pass_command_prints_the_coefficients(tmp_path: Path) -> None:
    result = run_here("pass", "--out", str(tmp_path))
    assert result.exit_code == 0, result.stderr
    record = read_manifest(tmp_path / "pass" / "1").record
    for text in (
        f"w │ {record.hyperparameters['w']:.4f}",
        f"b │ {record.hyperparameters['b']:.4f}",
        "P(pass | 4 hours)",
    ):
        assert re.sub(r"\s+", " ", text) in re.sub(r"\s+", " ", result.stdout)
    sample = json.loads((tmp_path / "pass" / "1" / "samples" / "4.json").read_text())
    assert sample == {"hours": 4.0}


def test_the_whole_command_says_what_is_wrong_in_a_line() -> None:
    result = run("pass", "--csv", "missing.csv")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "Error: missing.csv cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("pass", "--csv", "missing.csv"), 2, "missing.csv cannot be read"),
        (("pass", "--csv", "/"), 2, "/ cannot be read: Is a directory"),
        (("pass", "--csv", "/dev/zero"), 2, "/dev/zero, line 1 is longer than"),
        (("pass", "--device", "cuda:99"), 2, "'cuda:99' was asked for"),
        (("pass", "--device", "gpu"), 2, "'gpu' is none of auto, cpu, cuda and cuda:N"),
        (("pass", "--epochs", "0"), 2, "--epochs"),
        (("pass", "--seed", "99999999999999999999999"), 2, "--seed"),
        (("pass", "--seed", "-1"), 2, "--seed"),
        (("digit", "--recipe", "transformer"), 2, "transformer"),
        (("pass", "--out", "/dev/null/x"), 2, "--out /dev/null/x cannot be written"),
        (("pass", "--checkpoints", "/dev/null/x"), 2, "no checkpoint can be kept in /dev/null/x"),
        (("pass", "--resume"), 2, "there is nothing to resume"),
        (("pass", "--sign", "/dev/null"), 2, "holds no private key"),
        (("digit", "--sign", "missing.pem"), 2, "missing.pem cannot be read: No such file or directory"),
        (("digit", "--data", "/dev/null"), 2, "MNIST is not under /dev/null and cannot be downloaded"),
        (("evaluate", "pass"), 2, "only digit can be evaluated"),
        (("evaluate", "--version", "99"), 1, "digit cannot be read"),
        (("evaluate", "--out", "/dev/null"), 1, "/dev/null cannot be read"),
        (("evaluate", "--out", str(COMMITTED), "--report", "/dev/null"), 2, "--report /dev/null cannot be"),
        (("recalibrate", "--version", "99"), 1, "digit cannot be read"),
        (("recalibrate", "--teacher", "1"), 2, "--teacher is for --refine"),
        (("convert", "Net"), 2, "Error: 'Net' is none for a model: a-z"),
        (("recalibrate", "--out", "/dev/null"), 2, "--out /dev/null cannot be written"),
        (("keys", "--out", "/dev/null/keys"), 2, "/dev/null/keys cannot be written"),
        (("keys", "--out", "/dev/null"), 2, "/dev/null"),
    ],
)
def test_what_an_operator_gets_wrong_is_explained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    complaint: str,
) -> None:
    # Others leave checkpoints where all tests keep theirs.
    monkeypatch.setenv("TRAINING_CHECKPOINTS", str(tmp_path / "runs"))
    result = CliRunner().invoke(cli, [arguments[0], "--out", str(tmp_path), *arguments[1:]])
    assert result.exit_code == code, result.stderr
    assert isinstance(result.exception, SystemExit)
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1 or "Usage:" in result.stderr


def test_keys_are_a_pair_or_none(tmp_path: Path) -> None:
    (tmp_path / "trusted-key.pem").mkdir()
    result = CliRunner().invoke(cli, ["keys", "--out", str(tmp_path)])
    assert (result.exit_code, "trusted-key.pem cannot be written" in result.stderr) == (2, True)
    assert not (tmp_path / "signing-key.pem").exists()
    (tmp_path / "trusted-key.pem").rmdir()
    codes = [CliRunner().invoke(cli, ["keys", "--out", str(tmp_path)]).exit_code for _ in range(2)]
    assert codes == [0, 2], "a signing key is not overwritten"


def test_the_commit_is_that_of_this_code_and_not_of_what_it_is_installed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / ".venv" / "record.py"
    code.parent.mkdir()
    code.touch()
    (tmp_path / ".gitignore").write_text(".venv\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".gitignore")
    git(tmp_path, "commit", "-m", "A project")
    monkeypatch.setattr(record, "__file__", str(code))
    assert record.git_commit() is None
    git(tmp_path, "add", "-f", str(code))
    git(tmp_path, "commit", "-m", "The code")
    assert record.git_commit() == git(tmp_path, "rev-parse", "HEAD")


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@localhost", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_a_store_of_objects_is_brought_to_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_ARTIFACTS_CACHE", str(tmp_path))
    monkeypatch.setenv("SERVICE_MAX_MODEL_BYTES", "1000")
    store = store_at("s3://bucket/models")
    assert isinstance(store, RemoteStore)
    assert store.root.is_relative_to(tmp_path)
    assert store._mirror._max_model_bytes == 1000
    monkeypatch.setenv("SERVICE_ARTIFACTS_CACHE", "")
    refused = run_here("pass", "--out", "s3://bucket/models")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "SERVICE_ARTIFACTS_CACHE=''" in refused.stderr


def damage_length(raw: Path) -> None:
    with (raw / "train-images-idx3-ubyte").open("r+b") as file:
        file.truncate(1000)


def damage_format(raw: Path) -> None:
    (raw / "train-images-idx3-ubyte").write_bytes(b"no pictures")


def damage_emptied(raw: Path) -> None:
    (raw / "train-images-idx3-ubyte").write_bytes(b"")


def damage_labels(raw: Path) -> None:
    path = raw / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x63")


def damage_count(raw: Path) -> None:
    path = raw / "train-labels-idx1-ubyte"
    path.write_bytes(struct.pack(">II", 2049, 3) + b"\0\1\2")


def damage_folder(raw: Path) -> None:
    (raw / "train-images-idx3-ubyte").unlink()
    (raw / "train-images-idx3-ubyte").mkdir()


@pytest.mark.parametrize(
    "damage", [damage_length, damage_format, damage_emptied, damage_labels, damage_count, damage_folder]
)
def test_a_damaged_mnist_is_explained(
    tmp_path: Path, digits: Digits, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    write_mnist(tmp_path, digits)
    damage(tmp_path / "MNIST" / "raw")
    with pytest.raises(DataUnavailable, match="MNIST"):
        load_mnist(tmp_path, train=True)


def test_what_is_not_installed_is_named(tmp_path: Path) -> None:
    """The service alone was installed, without the extra."""
    (tmp_path / "rich.py").write_text("raise ModuleNotFoundError('No module named rich', name='rich')")
    command = [sys.executable, "-m", "training", "pass"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "Error: rich is missing; training needs pip install 'abacus-serving[train]'\n"


def test_data_that_cannot_be_downloaded_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])  # the discard port: nobody answers
    with pytest.raises(DataUnavailable, match=r"cannot be downloaded: .* Point --data"):
        load_mnist(tmp_path, train=True)


def test_the_cnn_is_the_default() -> None:
    assert next(iter(RECIPES)) == CNN.name == "cnn"
    assert "default: cnn" in run_here("digit", "--help").stdout
