"""Temperature, calibration error and the detector, on logits and nets whose right answers are known."""

import pytest
import torch

from training.data import Rows
from training.digits.detector import fit_detector
from training.digits.digit_nets import ConvNet, DetectingDigitNet, DigitNet, cnn
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


def test_the_detector_flags_one_in_a_hundred_of_validation_and_noise_more_often() -> None:
    torch.manual_seed(0)
    labels = torch.arange(2_000) % 10
    images_u8 = torch.zeros(2_000, 1, 28, 28, dtype=torch.uint8)
    for row, digit in enumerate(labels.tolist()):  # a bar at the digit's own place, with a little noise
        images_u8[row, 0, 4:24, 2 * digit + 4 : 2 * digit + 7] = 255
    images_u8 = (images_u8 + torch.randint(0, 30, images_u8.shape)).clamp(0, 255).to(torch.uint8)
    net = DigitNet(cnn()).eval()
    train, validation = Rows(images_u8[:1_000], labels[:1_000]), Rows(images_u8[1_000:], labels[1_000:])
    with torch.inference_mode():
        detecting = DetectingDigitNet(net, fit_detector(net, train, validation)).eval()
        answers = detecting(validation.inputs)
        noise = torch.randint(0, 256, (100, 1, 28, 28), dtype=torch.uint8)
        flagged = (detecting(noise)[:, 10] > 0.5).double().mean().item()
    assert answers.shape == (1_000, 11)
    assert torch.allclose(answers[:, :10], net(validation.inputs), atol=1e-6)
    assert (answers[:, 10] > 0.5).sum().item() == pytest.approx(10, abs=2)
    assert flagged > 0.95


def test_summaries_are_of_the_whole_and_of_quarters() -> None:
    body = cnn().eval()
    assert isinstance(body, ConvNet)
    whole, quarters = body.summaries(torch.zeros(3, 1, 28, 28))
    assert whole.shape == (3, body.widths[0])
    assert quarters.shape == (3, body.widths[1])
