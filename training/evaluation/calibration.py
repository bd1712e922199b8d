"""How sure the answers are: fitted after the weights, on validation rows. It travels in the archive."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.data import Rows
from training.fitting.fit import batched

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
