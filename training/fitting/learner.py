"""A net that learns, with all that a step changes beside its weights."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, LinearLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from service.engine.devices import computes
from training.fitting.muon import convolution_muon

KERNEL_NDIM = 4  # of a convolution's weights


@dataclass(frozen=True)
class Hyperparameters:
    """The hyper-parameters of one recipe; all of them go into the manifest.

    With `bfloat16`, convolutions and products are computed in it while training, in half the time, where
    the device can (`on`). What is judged and kept is float32.
    `refine_share` of the epochs come at the end, at `refine_learning_rate`, on images that are hardly
    distorted: what is served is more like them (He, Xie, Chen, Zhang, Wang and Tian 2019).
    With `bias_scale`, biases learn so much faster than weights, and decay as fast (Page 2018).
    With `muon_learning_rate`, convolutions learn by Muon and only the rest by gradient descent.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: Literal["constant", "linear", "one-cycle"] = "constant"
    warm_up_share: float = 0.0
    average_decay: float = 0.0
    bfloat16: bool = False
    refine_share: float = 0.0
    refine_learning_rate: float = 0.0
    bias_scale: float = 1.0
    muon_learning_rate: float = 0.0
    muon_momentum: float = 0.0

    def as_dict(self) -> dict[str, str | int | float | bool]:
        return asdict(self)

    def on(self, device: torch.device) -> "Hyperparameters":
        """As they are there: without bfloat16, where it has no instructions for it."""
        return replace(self, bfloat16=self.bfloat16 and computes(device, torch.bfloat16))


class Learner:
    """One phase of a fit: gradient descent, its schedule over `steps`, and the average of the weights."""

    def __init__(self, net: nn.Module, hp: Hyperparameters, steps: int) -> None:
        self.net = net
        self._optimizers = _optimizers(net, hp)
        self._schedulers = [_scheduler(optimizer, hp, steps) for optimizer in self._optimizers]
        self._averaged = _averaged(net, hp.average_decay)

    def step(self, batch_loss: Tensor) -> None:
        self.net.zero_grad()
        batch_loss.backward()
        for optimizer, scheduler in zip(self._optimizers, self._schedulers, strict=True):
            optimizer.step()
            scheduler.step()
        if self._averaged:
            self._averaged.update_parameters(self.net)

    @property
    def judged(self) -> nn.Module:
        """The weights to be judged: the average, where there is one."""
        return self._averaged.module if self._averaged else self.net

    def state_dict(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self._schedulers],
            "averaged": self._averaged.state_dict() if self._averaged else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        for optimizer, its_state in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(its_state)
        for scheduler, its_state in zip(self._schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(its_state)
        if self._averaged:
            self._averaged.load_state_dict(state["averaged"])


def _optimizers(net: nn.Module, hp: Hyperparameters) -> list[torch.optim.Optimizer]:
    named = [(name, weight) for name, weight in net.named_parameters() if weight.requires_grad]
    by_muon = [weight for _, weight in named if weight.ndim == KERNEL_NDIM] if hp.muon_learning_rate else []
    kernels = set(map(id, by_muon))
    descent = torch.optim.SGD(
        _groups([(name, weight) for name, weight in named if id(weight) not in kernels], hp),
        lr=hp.learning_rate,
        momentum=hp.momentum,
        nesterov=hp.nesterov,
        weight_decay=hp.weight_decay,
    )
    if not by_muon:
        return [descent]
    return [descent, convolution_muon(by_muon, hp.muon_learning_rate, hp.muon_momentum)]


def _groups(named: Sequence[tuple[str, nn.Parameter]], hp: Hyperparameters) -> list[dict[str, Any]]:
    if hp.bias_scale == 1:
        return [{"params": [weight for _, weight in named]}]
    faster = {"lr": hp.learning_rate * hp.bias_scale, "weight_decay": hp.weight_decay / hp.bias_scale}
    return [
        {"params": [weight for name, weight in named if not name.endswith("bias")]},
        {"params": [weight for name, weight in named if name.endswith("bias")], **faster},
    ]


def _scheduler(optimizer: torch.optim.Optimizer, hp: Hyperparameters, steps: int) -> LRScheduler:
    if hp.schedule == "one-cycle":
        # OneCycleLR divides by zero where warming up takes exactly one step.
        warm_up = hp.warm_up_share if hp.warm_up_share * steps != 1 else 0.0
        peaks = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, max_lr=peaks, total_steps=steps, pct_start=warm_up)
    if hp.schedule == "linear":
        return LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=steps)
    return ConstantLR(optimizer, factor=1.0)


def _averaged(net: nn.Module, decay: float) -> AveragedModel | None:
    if not decay:
        return None
    return AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
