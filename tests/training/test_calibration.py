"""Temperature, calibration error and the threshold of the score: right answers are known."""

from dataclasses import replace

import pytest
import torch
from rich.console import Console

from tests.conftest import Digits
from training.data import Rows
from training.digits.detector import REJECTOR, fit_rejector, fit_threshold, hands
from training.digits.digit_nets import DigitNet, RejectingDigitNet, cnn
from training.evaluation.calibration import calibration_error, fit_temperature


class Overconfident(torch.nn.Module):
    """Logits three times too large: of the images, all alike, 70 % are class 0 and 30 % class 1."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        row = torch.full((10,), -200.0)
        row[0], row[1] = 3 * torch.tensor(0.7).log(), 3 * torch.tensor(0.3).log()
        return row.repeat(len(images), 1)


def test_the_temperature_undoes_overconfidence() -> None:
    labels = torch.tensor(([0] * 7 + [1] * 3) * 10)
    rows = Rows(torch.zeros(100, 1, 28, 28, dtype=torch.uint8), labels)
    net = DigitNet(Overconfident())
    before = net(rows.inputs)
    assert fit_temperature(net, rows) == pytest.approx(3, rel=0.01)
    after = net(rows.inputs)
    assert after[0, 0].item() == pytest.approx(0.7, abs=0.01)
    assert torch.equal(before.argmax(1), after.argmax(1))
    assert calibration_error(after, labels) < calibration_error(before, labels)


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    probabilities = torch.full((150, 10), 0.02)
    probabilities[:, 3] = 0.82
    always_right = torch.full((150,), 3)
    assert calibration_error(probabilities, always_right) == pytest.approx(0.18, abs=1e-6)
    assert calibration_error(probabilities, torch.zeros(150, dtype=torch.int64)) == pytest.approx(
        0.82, abs=1e-6
    )


def test_at_most_one_in_a_hundred_right_answers_is_called_no_digit(digits: Digits) -> None:
    torch.manual_seed(0)
    net = RejectingDigitNet(cnn()).eval()
    images_u8 = torch.from_numpy(digits.images_u8).unsqueeze(1)
    with torch.inference_mode():
        predicted = net.logits(images_u8).argmax(1)
    validation = Rows(images_u8, predicted)  # all are right
    threshold = fit_threshold(net, hands(validation))
    with torch.inference_mode():
        answers = net(images_u8)
        net.threshold.fill_(threshold - 100)
        strict = net(images_u8)
    assert answers.shape == (len(images_u8), 11)
    torch.testing.assert_close(answers[:, :10].sum(1), torch.ones(len(images_u8)))
    assert (answers[:, 10] > 0.5).double().mean() <= 0.01
    assert (strict[:, 10] > 0.5).all()
    assert torch.equal(strict[:, :10], answers[:, :10])


def test_what_is_no_digit_is_learnt_and_changes_no_digit(digits: Digits) -> None:
    torch.manual_seed(0)
    net = RejectingDigitNet(cnn()).eval()
    images_u8 = torch.from_numpy(digits.images_u8[:300]).unsqueeze(1)
    noise_u8 = torch.randint(0, 256, (len(images_u8), 1, 28, 28), dtype=torch.uint8)
    with torch.inference_mode():
        before = net(images_u8)
        rows = Rows(images_u8, before[:, :10].argmax(1))
    hp = replace(REJECTOR, epochs=4, batch_size=64)
    fit_rejector(net, images_u8, noise_u8, Console(quiet=True), hp)
    fit_threshold(net, hands(rows))
    with torch.inference_mode():
        after, of_noise = net(images_u8), net(noise_u8)
    assert torch.equal(after[:, :10], before[:, :10])
    assert (of_noise[:, 10] > 0.5).double().mean() > 0.95
    again = RejectingDigitNet(cnn()).eval()
    again.load_state_dict(net.state_dict())
    fit_rejector(again, images_u8, noise_u8, Console(quiet=True), hp)
    torch.testing.assert_close(again.rejector.state_dict(), net.rejector.state_dict())
