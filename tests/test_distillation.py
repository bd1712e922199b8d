from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from service.manifest import ArtifactError, ArtifactStore
from service.predictor import load
from tests.conftest import COMMITTED, CPU, QUIET, Digits, mnist_rows
from training.digit_recipe import CROSS_ENTROPY, SOFTMAX_MLP
from training.distillation import Teachers
from training.fit import Hyperparameters, Phase, fit
from training.nets import DigitNet

STORE = ArtifactStore(COMMITTED)
VERSIONS = (1, 11)  # one gives a score beside its probabilities, one does not


@pytest.fixture(scope="module")
def teachers() -> Teachers:
    return Teachers(STORE, VERSIONS)


def test_teachers_tell_the_mean_of_their_probabilities(teachers: Teachers, digits: Digits) -> None:
    images, labels = mnist_rows(digits)
    told = [load(STORE.folder("digit", v), CPU).predict(images)[:, :10] for v in VERSIONS]
    right = torch.stack([p.argmax(1) == labels for p in told]).all(0)
    targets = teachers.targets(images.float(), labels)
    assert right.sum() > 400
    torch.testing.assert_close(targets[right], torch.stack(told).mean(0)[right])
    torch.testing.assert_close(targets.sum(1), torch.ones(len(labels)))


def test_a_teacher_that_errs_says_the_label(teachers: Teachers, digits: Digits) -> None:
    images, labels = mnist_rows(digits)
    another = (labels + 1) % 10
    told = torch.stack([load(STORE.folder("digit", v), CPU).predict(images)[:, :10] for v in VERSIONS])
    both_err = (told.argmax(2) != another).all(0)
    assert both_err.sum() > 400
    targets = teachers.targets(images, another)
    assert torch.equal(targets[both_err], one_hot(another, 10).float()[both_err])


def test_a_net_learns_what_its_teachers_tell(teachers: Teachers, digits: Digits) -> None:
    rows = mnist_rows(digits)
    hp = Hyperparameters(epochs=15, batch_size=25, learning_rate=0.05, momentum=0.9)

    def distance(taught: bool) -> float:
        """Mean cross-entropy of the fitted net from what the teachers tell."""
        objective = CROSS_ENTROPY._replace(teach=teachers.targets) if taught else CROSS_ENTROPY
        torch.manual_seed(0)
        net, _ = fit(DigitNet(SOFTMAX_MLP.body()), objective, rows, [Phase(hp)], QUIET)
        logits = CROSS_ENTROPY.forward(net, rows.inputs)
        return cross_entropy(logits, teachers.targets(rows.inputs, rows.targets)).item()

    assert distance(taught=True) < 0.9 * distance(taught=False)


def test_a_teacher_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="digit/7"):
        Teachers(ArtifactStore(tmp_path), [7])
