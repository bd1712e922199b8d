"""A net that learns, with all that a step changes beside its weights."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


@dataclass(frozen=True)
class Hyperparameters:
    """Of one recipe; all of them go into the manifest.

    With `bfloat16`, convolutions and products are computed in it while training: half the time on
    processors that can, and slower on those that cannot. What is judged and kept is float32.
    `refine_share` of the epochs come at the end, at `refine_learning_rate`, on images that are hardly
    distorted: what is served is more like them (He, Xie, Chen, Zhang, Wang and Tian 2019).
    With `bias_scale`, biases learn so much faster than weights, and decay as fast (Page 2018).
    """

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: Literal["constant", "one-cycle"] = "constant"
    warm_up_share: float = 0.0
    average_decay: float = 0.0
    bfloat16: bool = False
    refine_share: float = 0.0
    refine_learning_rate: float = 0.0
    bias_scale: float = 1.0

    def as_dict(self) -> dict[str, str | int | float | bool]:
        return asdict(self)


class Learner:
    """One phase of a fit: gradient descent, its schedule over `steps`, and the average of the weights."""

    def __init__(self, net: nn.Module, hp: Hyperparameters, steps: int) -> None:
        self.net = net
        self._optimizer = torch.optim.SGD(
            _groups(net, hp),
            lr=hp.learning_rate,
            momentum=hp.momentum,
            nesterov=hp.nesterov,
            weight_decay=hp.weight_decay,
        )
        self._scheduler = _scheduler(self._optimizer, hp, steps)
        self._averaged = _averaged(net, hp.average_decay)

    def step(self, batch_loss: Tensor) -> None:
        self._optimizer.zero_grad()
        batch_loss.backward()
        self._optimizer.step()
        self._scheduler.step()
        if self._averaged:
            self._averaged.update_parameters(self.net)

    @property
    def judged(self) -> nn.Module:
        """The weights to be judged: the average, where there is one."""
        return self._averaged.module if self._averaged else self.net

    def state_dict(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "averaged": self._averaged.state_dict() if self._averaged else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scheduler.load_state_dict(state["scheduler"])
        if self._averaged:
            self._averaged.load_state_dict(state["averaged"])


def _groups(net: nn.Module, hp: Hyperparameters) -> list[dict[str, Any]]:
    if hp.bias_scale == 1:
        return [{"params": list(net.parameters())}]
    biases = {id(p) for name, p in net.named_parameters() if name.endswith("bias")}
    faster = {"lr": hp.learning_rate * hp.bias_scale, "weight_decay": hp.weight_decay / hp.bias_scale}
    return [
        {"params": [p for p in net.parameters() if id(p) not in biases]},
        {"params": [p for p in net.parameters() if id(p) in biases], **faster},
    ]


def _scheduler(optimizer: torch.optim.Optimizer, hp: Hyperparameters, steps: int) -> LRScheduler:
    if hp.schedule == "one-cycle":
        # OneCycleLR divides by zero where warming up takes exactly one step.
        warm_up = hp.warm_up_share if hp.warm_up_share * steps != 1 else 0.0
        peaks = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, max_lr=peaks, total_steps=steps, pct_start=warm_up)
    return ConstantLR(optimizer, factor=1.0)


def _averaged(net: nn.Module, decay: float) -> AveragedModel | None:
    if not decay:
        return None
    return AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
