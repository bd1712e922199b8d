"""What a fit saw: losses and accuracies, epoch by epoch."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from training.fitting.ranks import ALONE, Ranks

REPORT_EVERY_BATCHES = 300


class Diverged(Exception):
    """The loss is no longer a number."""


@dataclass
class History:
    """What a fit saw. `running_loss` has the mean of every 300 mini-batches, by the last one's number."""

    selected_epoch: int
    running_loss: list[tuple[int, float]] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    _window: list[Tensor] = field(default_factory=list)
    _epoch: list[Tensor] = field(default_factory=list)

    def add_batch(self, loss: Tensor, console: Console, ranks: Ranks = ALONE) -> None:
        self._epoch.append(loss)
        self._window.append(loss)
        if len(self._window) == REPORT_EVERY_BATCHES:
            batch = REPORT_EVERY_BATCHES * (len(self.running_loss) + 1)
            self.running_loss.append((batch, _mean(self._window, ranks)))
            self._window.clear()
            console.print(f"mini-batch {batch}: running loss {self.running_loss[-1][1]:.4f}")

    def end_epoch(self, ranks: Ranks = ALONE) -> None:
        """Raises Diverged."""
        self.train_loss.append(_mean(self._epoch, ranks))
        self._epoch.clear()
        if not math.isfinite(self.train_loss[-1]):
            epoch = len(self.train_loss)
            raise Diverged(f"the loss of epoch {epoch} is not finite; lower the learning rate")

    def state_dict(self) -> dict[str, Any]:
        """All that there is to keep between two epochs."""
        return {name: list(v) if isinstance(v, list) else v for name, v in vars(self).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


def _mean(losses: list[Tensor], ranks: Ranks) -> float:
    device = losses[-1].device  # those of a checkpoint are on the CPU
    return ranks.mean(torch.stack([loss.to(device) for loss in losses]).mean()).item()
