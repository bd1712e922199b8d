"""From which score on a picture is no digit: fitted after the weights, on digits of validation alone."""

import torch
from torch import Tensor, nn

from training.data import Rows
from training.digits import augment, styles
from training.digits.digit_nets import RejectingDigitNet
from training.fitting.fit import batched
from training.quantization import Quantization

FALSE_ALARMS = 0.01  # share of digits, of whatever hand, that may be called no digit
BATCH = 128
CALIBRATION_ROWS = 1_000  # of the int8 form


def fit_threshold(net: RejectingDigitNet, validation: Rows) -> float:
    """Set the log-odds from which an image is called no digit to the least that few enough digits reach.

    Few enough of the validation images, of these distorted as in training, and of these in other styles:
    each of the three counts alone, and only what is read rightly.
    """
    threshold = max(_quantile(net, rows) for rows in _digits(validation))
    net.threshold.fill_(threshold)
    return threshold


def refit_threshold(form: nn.Module, validation: Rows) -> None:
    """Move the threshold of another form of a RejectingDigitNet, by what that form answers.

    Its score is then 0.5 for as many digits as the net's; `form` has the threshold fitted to the net.
    """

    def log_odds(digits: Rows) -> float:
        answers = batched(form, digits.inputs)
        right = answers[:, :10].argmax(1) == digits.targets
        return torch.logit(answers[right, 10]).quantile(1 - FALSE_ALARMS).item() if right.any() else 0.0

    form.get_buffer("threshold").add_(max(map(log_odds, _digits(validation))))


def digit_quantization(net: nn.Module, train: Rows, validation: Rows) -> Quantization:
    """From which score on a picture is no digit is fitted to what the int8 form answers."""
    order = torch.randperm(len(train.inputs), generator=torch.Generator().manual_seed(0))
    rows = train.inputs[order[:CALIBRATION_ROWS]]
    if not isinstance(net, RejectingDigitNet):
        return Quantization(rows)
    return Quantization(rows, refit=lambda form: refit_threshold(form, validation))


def _digits(validation: Rows) -> tuple[Rows, Rows, Rows]:
    other = styles.with_other_styles(validation)
    styled = Rows(other.inputs[len(validation.inputs) :], other.targets[len(validation.inputs) :])
    return validation, _distorted(validation), styled


def _quantile(net: RejectingDigitNet, digits: Rows) -> float:
    logits = batched(net.every_logit, digits.inputs)
    right = logits[:, :10].argmax(1) == digits.targets
    if not right.any():
        return 0.0
    return net.log_odds(logits[right]).quantile(1 - FALSE_ALARMS).item()


def _distorted(digits: Rows) -> Rows:
    torch.manual_seed(0)
    images: list[Tensor] = [augment.distort_as_prepared(part) for part in digits.inputs.split(BATCH)]
    return Rows(torch.cat(images).round().clamp(0, 255).to(torch.uint8), digits.targets)
