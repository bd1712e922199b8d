"""What is no digit: learnt after the weights, from pictures of none, on what the net finds in them.

Outlier exposure (Hendrycks, Mazeika and Dietterich 2019) with the net left as it is: learnt together with
the digits, what is no digit costs some of these.
"""

from collections.abc import Sequence

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from training.data import Rows
from training.digits import augment
from training.digits.digit_nets import RejectingDigitNet
from training.digits.drawn import styles
from training.fitting.fit import Hyperparameters, Objective, Phase, batched, fit
from training.publishing.quantization import Quantization

REJECTOR = Hyperparameters(
    epochs=10,
    batch_size=512,
    learning_rate=0.05,
    momentum=0.9,
    nesterov=True,
    weight_decay=1e-4,
    schedule="one-cycle",
    warm_up_share=0.1,
    bfloat16=True,
)
FALSE_ALARMS = 0.008  # share of digits that are called no digit: of other hands it is to be 1 % at most
CALIBRATION_ROWS = 2_000  # of the int8 form, whose scores differ no less with more
# The rejector's linear layers are few operations, and in int8 a score of 0.4 was one of 0.5.
IN_FLOAT = ("body.head", "both", "rejector.4")


def fit_rejector(
    net: RejectingDigitNet,
    digits_u8: Tensor,
    negatives_u8: Tensor,
    console: Console,
    hp: Hyperparameters,
) -> None:
    """Tell `digits_u8` and `negatives_u8 [N, 1, 28, 28]` apart; nothing but the rejector changes.

    The same net, rows and threads give the same rejector, bit for bit. Raises Diverged.
    """
    net.eval()
    torch.manual_seed(0)
    for layer in net.rejector:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.reset_parameters()
    features = torch.no_grad()(net.features)
    both = Rows(
        torch.cat([digits_u8, negatives_u8]),
        torch.cat([torch.zeros(len(digits_u8), 1), torch.ones(len(negatives_u8), 1)]),
    )
    objective = Objective(
        forward=lambda rejector, images: rejector(features(images)), loss=binary_cross_entropy_with_logits
    )
    net.rejector.requires_grad_(True)
    phase = Phase(hp, half_distorted, augment.WORKERS)
    fitted, _ = fit(net.rejector, objective, both, [phase], console)
    net.rejector.load_state_dict(fitted.state_dict())
    net.rejector.requires_grad_(False).eval()


def half_distorted(images_u8: Tensor) -> Tensor:
    """The first half of them as in training, the rest as they are, but for those on few pixels."""
    half = len(images_u8) // 2
    return torch.cat([augment.distort_as_prepared(images_u8[:half]), augment.coarsened(images_u8[half:])])


def hands(validation: Rows) -> tuple[Rows, Rows]:
    """The validation images, and those of them that can be written in another style, in it."""
    both = styles.with_other_styles(validation)
    return validation, both.take(torch.arange(len(validation.inputs), len(both.inputs)))


def fit_threshold(net: RejectingDigitNet, validation: Sequence[Rows]) -> float:
    """Set the log-odds from which an image is called no digit to the least that few enough digits reach.

    Few enough of those of each of the `hands`, and only what is read rightly counts.
    """
    net.threshold.zero_()
    net.threshold.fill_(max(_quantile(net, digits) for digits in validation))
    return net.threshold.item()


def digit_quantization(net: nn.Module, train: Rows) -> Quantization:
    """How its int8 form is made."""
    order = torch.randperm(len(train.inputs), generator=torch.Generator().manual_seed(0))
    rows = train.inputs[order[:CALIBRATION_ROWS]]
    return Quantization(rows, in_float=IN_FLOAT if isinstance(net, RejectingDigitNet) else ())


def _quantile(net: nn.Module, digits: Rows) -> float:
    """Of the log-odds of what `net` reads rightly."""
    answers = batched(net, digits.inputs)
    right = answers[:, :10].argmax(1) == digits.targets
    log_odds = torch.logit(answers[right, 10], eps=1e-7)
    return log_odds.quantile(1 - FALSE_ALARMS).item() if right.any() else 0.0
