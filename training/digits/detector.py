"""What is no digit at all, fitted after the weights: on training images, and a threshold on validation."""

from collections.abc import Callable

import torch
from torch import Tensor

from training.data import Rows
from training.digits.digit_nets import ConvNet, Detector, DigitNet
from training.fitting.fit import batched

FALSE_ALARMS = 0.01  # share of validation images that may be called no digit
# Of the distances in the early and in the late layers, and of the energy, each in standard deviations.
PART_WEIGHTS = (0.5, 1.0, 0.5)
SHRINKAGE = 1e-3  # of the covariance towards a multiple of the identity, so that it can be inverted
DISTORTED_SHARE, DISTORTED_BATCH = 0.2, 128


def fit_detector(
    net: DigitNet, train: Rows, validation: Rows, distort: Callable[[Tensor], Tensor] | None = None
) -> Detector:
    """A detector of what is no digit; 1 % of the validation images score above 0.5.

    Gaussians of each class with a common covariance (Lee, Lee, Lee and Shin 2018), on two layers.
    """
    body = net.body
    assert isinstance(body, ConvNet)
    detector = Detector(body.widths)
    if distort:
        train = _with_distorted(train, distort)
    summaries = batched(lambda part: torch.cat(body.summaries(net.normalize(part)), dim=1), train.inputs)
    of_layers = summaries.split(list(body.widths), dim=1)
    for features, gaussians in zip(of_layers, detector.gaussians(), strict=True):
        means = torch.stack([features[train.targets == digit].mean(0) for digit in range(10)])
        centred = (features - means[train.targets]).double()
        covariance = centred.T @ centred / len(centred)
        covariance += (
            SHRINKAGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
        )
        whitening = torch.linalg.inv(torch.linalg.cholesky(covariance)).T.float()
        gaussians.whitening.copy_(whitening)
        gaussians.means.copy_(means @ whitening)
    parts = batched(
        lambda part: detector.parts(*body.summaries(net.normalize(part)), net.logits(part)),
        validation.inputs,
    )
    weights = torch.tensor(PART_WEIGHTS) / parts.std(0)
    detector.weights.copy_(weights)
    raw = (parts * weights).sum(1)
    detector.threshold.copy_(raw.quantile(1 - FALSE_ALARMS))
    return detector


def _with_distorted(train: Rows, distort: Callable[[Tensor], Tensor]) -> Rows:
    """And some of them distorted as in training: so are digits of other origin, and they are digits."""
    order = torch.randperm(len(train.inputs), generator=torch.Generator().manual_seed(0))
    some = train.take(order[: int(DISTORTED_SHARE * len(order))])
    torch.manual_seed(0)
    distorted = torch.cat([distort(part) for part in some.inputs.split(DISTORTED_BATCH)])
    inputs = distorted.round().clamp(0, 255).to(torch.uint8)
    return Rows(torch.cat([train.inputs, inputs]), torch.cat([train.targets, some.targets]))
