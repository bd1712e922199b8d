"""What is fitted after the weights: how sure the answers are, and what is no digit at all.

Both are fitted on validation images (the feature statistics on training images) and travel in the archive.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.data import Rows
from training.fit import batched
from training.nets import ConvNet, Detector, DigitNet

FALSE_ALARMS = 0.01  # share of validation images that may be called no digit
# Of the distances in the early and in the late layers, and of the energy, each in standard deviations.
PART_WEIGHTS = (0.5, 1.0, 0.5)
SHRINKAGE = 1e-3  # of the covariance towards a multiple of the identity, so that it can be inverted
DISTORTED_SHARE, DISTORTED_BATCH = 0.2, 128
BINS = 15
# A handful of rows that are all right would make it 0.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 10.0


class Tempered(Protocol):
    """A net whose logits are divided by a temperature before they become probabilities."""

    temperature: Tensor

    def logits(self, images: Tensor) -> Tensor: ...


def fit_temperature(net: Tempered, validation: Rows) -> float:
    """Set the temperature by which logits are divided to the one of least negative log-likelihood.

    Guo, Pleiss, Sun and Weinberger (2017), section 4.2. It changes no decision.
    """
    logits = batched(net.logits, validation.inputs).double().clone()
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        value = cross_entropy(logits / log_temperature.exp(), validation.targets)
        value.backward()
        return value.item()

    optimizer.step(loss)
    temperature = log_temperature.exp().clamp(LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE).item()
    net.temperature.fill_(temperature)
    return temperature


def calibration_error(probabilities: Tensor, labels: Tensor) -> float:
    """Expected calibration error (Guo et al. 2017), over 15 bins of equal mass.

    `probabilities f32 [N, C]`, `labels i64 [N]`.
    """
    return sum(
        len(confidence) / len(labels) * abs(confidence.mean().item() - right.mean().item())
        for confidence, right in calibration_bins(probabilities, labels)
    )


def calibration_bins(probabilities: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Confidence, and whether it was right, of 15 groups of equal size, the least sure first."""
    confidence, predicted = probabilities.double().max(1)
    order = confidence.argsort()
    right = (predicted == labels).double()
    groups = min(BINS, len(order))
    return list(zip(confidence[order].tensor_split(groups), right[order].tensor_split(groups), strict=True))


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
