"""Weights that are published again: taken over, and refined."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from service.artifacts.manifest import ArtifactError, TrainingRecord
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest, read_model
from service.engine.ways import torchscript_accepted
from tests.conftest import COMMITTED, Digits, mnist_rows
from training.digits import digit_republication, refining
from training.digits.digit_nets import RejectingDigitNet
from training.digits.digit_publication import Split
from training.digits.digit_recipe import CNN, start
from training.digits.digit_republication import network_of, recalibrate_digit
from training.publishing.activation import Publication
from training.publishing.archive import network

COMMITTED_DIGITS = sorted(path.parent for path in COMMITTED.glob("digit/*/model.pt"))


def untrained() -> RejectingDigitNet:
    net = start(CNN, seed=0).eval()
    assert isinstance(net, RejectingDigitNet)
    return net


@pytest.mark.parametrize("folder", COMMITTED_DIGITS, ids=lambda folder: folder.name)
def test_the_weights_of_what_is_shipped_are_taken_over(folder: Path, digits: Digits) -> None:
    images_u8 = torch.from_numpy(digits.images_u8[:50]).unsqueeze(1)
    manifest = read_manifest(folder)
    net, recipe, record = network_of(read_model(folder, manifest), manifest)
    with torch.inference_mode(), torchscript_accepted():
        published = torch.jit.load(folder / "model.pt")(images_u8)
        own = net(images_u8)
    assert recipe is CNN
    assert record == manifest.training
    torch.testing.assert_close(own[:, :10], published[:, :10])


def test_weights_are_refined_and_the_net_stays_as_it_is(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refining, "REFINING", replace(refining.REFINING, epochs=1, learning_rate=0.1))
    net, rows = untrained(), mnist_rows(digits).take(torch.arange(300))
    teacher = network((COMMITTED_DIGITS[-1] / "model.pt").read_bytes())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    refined = refining.refined(net, [teacher], rows, 200, Console(quiet=True))
    torch.testing.assert_close(net.state_dict(), before)
    weight = "body.late.0.0.weight"
    assert not torch.equal(net.state_dict()[weight], refined.state_dict()[weight])
    assert not refined.training
    dropouts = [module.p for module in refined.modules() if isinstance(module, torch.nn.Dropout)]
    assert dropouts == [module.p for module in net.modules() if isinstance(module, torch.nn.Dropout)]


def test_all_teach_mnists_own_rows_and_the_former_weights_alone_the_others(digits: Digits) -> None:
    """Against the terms of the loss as they are written: KL divergence at a temperature, cross-entropy."""
    former, images_u8 = untrained(), torch.from_numpy(digits.images_u8[:2]).unsqueeze(1)
    learning = start(CNN, seed=1).eval()
    assert isinstance(learning, RejectingDigitNet)
    teacher = network((COMMITTED_DIGITS[-1] / "model.pt").read_bytes())
    labels, is_own = torch.tensor([3, 4]), torch.tensor([1, 0])
    objective = refining.taught_by(former, [teacher])
    with torch.inference_mode(), torchscript_accepted():
        logits = objective.forward(learning, images_u8)
        known = former.logits(images_u8).softmax(1)
        said = teacher(images_u8)[:, :10].clamp_min(1e-10)
        own = learning.logits(images_u8)
    found = objective.loss(logits, torch.stack([labels, is_own], dim=1))
    expected = []
    for row, (target, share) in enumerate((((known[0] * said[0]).sqrt(), 0.8), (known[1], 0.4))):
        softer = target.sqrt() / target.sqrt().sum()  # at temperature 2
        learnt = (own[row] / 2).softmax(0)
        divergence = (softer * (softer / learnt).log()).sum()
        expected.append(share * 4 * divergence - (1 - share) * own[row].softmax(0)[labels[row]].log())
    torch.testing.assert_close(found, torch.stack(expected).mean())


def test_a_net_of_another_form_is_told() -> None:
    folder = COMMITTED_DIGITS[-1]
    manifest = read_manifest(folder)
    other = (COMMITTED / "object" / "4" / "model.pt").read_bytes()
    with pytest.raises(ArtifactError, match="another form"):
        network_of(other, manifest)


@pytest.mark.parametrize("refine", [False, True])
def test_the_record_tells_of_the_last_refining_alone(
    refine: bool, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without what takes hours: what is learnt, and what is fitted and published afterwards."""
    rows, recorded = mnist_rows(digits), list[TrainingRecord]()
    folder = COMMITTED_DIGITS[-1]
    manifest = read_manifest(folder)
    assert manifest.training
    before = {**manifest.training.hyperparameters, "refining_of_old": 1}
    record = manifest.training.model_copy(update={"hyperparameters": before})

    def publish(*given: Any) -> None:
        recorded.extend(one for one in given if isinstance(one, TrainingRecord))

    monkeypatch.setattr(Split, "load", lambda *_: Split(rows, len(rows.inputs), rows, rows, ""))
    monkeypatch.setattr(digit_republication, "network_of", lambda *_: (untrained(), CNN, record))
    monkeypatch.setattr(digit_republication, "refined", lambda net, *_: net)
    monkeypatch.setattr(digit_republication, "calibrate_and_publish", publish)
    to = Publication(ArtifactStore(COMMITTED))
    recalibrate_digit(manifest.version, Path(), to, Console(quiet=True), refine=refine)
    (told,) = recorded
    assert ("refining_of_old" in told.hyperparameters) is not refine
    assert told.hyperparameters["refining_epochs"] == refining.REFINING.epochs
    assert told.hyperparameters["epochs"] == before["epochs"]
