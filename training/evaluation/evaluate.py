"""Metrics on the test split, taken once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from service.artifacts.fitness import DIGIT_LABELS
from service.artifacts.manifest import Metric
from training.data import Rows
from training.evaluation.calibration import calibration_error
from training.fitting.fit import batched


@dataclass(frozen=True)
class Evaluation:
    """What a classifier answers on one split: `probabilities f32 [N, C]`, `labels i64 [N]`, on the CPU.

    `score f32 [N]`: of those that give one, how little each image looks like a digit.
    """

    probabilities: Tensor
    labels: Tensor
    score: Tensor | None = None
    names: Sequence[str] = DIGIT_LABELS

    @property
    def predicted(self) -> Tensor:
        return self.probabilities.argmax(1)

    @property
    def accuracy(self) -> float:
        return (self.predicted == self.labels).double().mean().item()

    @property
    def negative_log_likelihood(self) -> float:
        chosen = self.probabilities.gather(1, self.labels[:, None])
        return -chosen.clamp_min(1e-12).log().mean().item()

    def metrics(self, split: str, further: Mapping[str, float] | None = None) -> tuple[Metric, ...]:
        """For a manifest; `further`: what else was found on these rows."""
        values = {
            "accuracy": self.accuracy,
            "negative-log-likelihood": self.negative_log_likelihood,
            "expected-calibration-error": calibration_error(self.probabilities, self.labels),
            **(further or {}),
        }
        n = len(self.labels)
        return tuple(Metric(name=name, value=value, split=split, n=n) for name, value in values.items())

    def confusion(self) -> Tensor:
        """`i64 [C, C]`: rows are true classes, columns predicted ones."""
        n = len(self.names)
        return torch.bincount(self.labels * n + self.predicted, minlength=n * n).reshape(n, n)


def evaluate(net: nn.Module, rows: Rows, names: Sequence[str] = DIGIT_LABELS) -> Evaluation:
    """Ask the net, as it will be published, for every row."""
    answers, n = batched(net, rows.inputs).cpu(), len(names)
    score = answers[:, n] if answers.shape[1] > n else None
    return Evaluation(answers[:, :n], rows.targets.cpu(), score, names)
