"""Weights that are published again: taken over, and refined."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from service.artifacts.manifest import ArtifactError
from service.artifacts.version_folder import read_manifest, read_model
from service.engine.ways import torchscript_accepted
from tests.conftest import COMMITTED, Digits, mnist_rows
from training.digits import refining
from training.digits.digit_nets import RejectingDigitNet
from training.digits.digit_recipe import CNN, start
from training.digits.digit_republication import network_of

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


def test_weights_are_refined_and_what_they_were_is_a_part_of_them(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = replace(refining.REFINING, epochs=2, learning_rate=0.1, refine_share=0.5)
    monkeypatch.setattr(refining, "REFINING", quick)
    monkeypatch.setattr(refining, "KEPT", 0.25)
    net, rows = untrained(), mnist_rows(digits).take(torch.arange(300))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    refined = refining.refined(net, CNN, rows, 200, Console(quiet=True))
    monkeypatch.setattr(refining, "KEPT", 0.0)
    learnt = refining.refined(net, CNN, rows, 200, Console(quiet=True))
    torch.testing.assert_close(net.state_dict(), before)
    weight = "body.late.0.0.weight"
    old, new, mean = (n.state_dict()[weight] for n in (net, learnt, refined))
    assert not torch.equal(old, new)
    torch.testing.assert_close(mean, 0.25 * old + 0.75 * new)
    assert not refined.training


def test_a_target_is_half_of_what_the_former_weights_answer_where_they_are_asked_and_right(
    digits: Digits,
) -> None:
    teacher, images_u8 = untrained(), torch.from_numpy(digits.images_u8[:3]).unsqueeze(1)
    objective = refining.taught_by(teacher)
    with torch.inference_mode():
        logits = objective.forward(teacher, images_u8)
    assert logits.shape == (3, 2, 10)
    taught = torch.softmax(logits[:, 1], dim=1)
    said = taught.argmax(1)
    labels = torch.stack([said[0], (said[1] + 1) % 10, said[2]])  # it is wrong of the second
    asked = torch.tensor([1, 1, 0])
    hard = torch.nn.functional.one_hot(labels, 10)
    targets = torch.stack([(taught[0] + hard[0]) / 2, hard[1].float(), hard[2].float()])
    expected = -(targets * torch.log_softmax(logits[:, 0], dim=1)).sum(1).mean()
    torch.testing.assert_close(objective.loss(logits, torch.stack([labels, asked], dim=1)), expected)


def test_a_net_of_another_form_is_told() -> None:
    folder = COMMITTED_DIGITS[-1]
    manifest = read_manifest(folder)
    other = (COMMITTED / "object" / "4" / "model.pt").read_bytes()
    with pytest.raises(ArtifactError, match="another form"):
        network_of(other, manifest)
