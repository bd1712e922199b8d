"""The one training loop: mini-batch gradient descent, with a progress bar and the running loss."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.data import Rows

REPORT_EVERY_BATCHES = 300
EVALUATION_BATCH = 1_000


class Diverged(Exception):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class Hyperparameters:
    """Of one recipe; all of them go into the manifest.

    With `bfloat16`, convolutions and products are computed in it while training: half the time on
    processors that can, and slower on those that cannot. What is judged and kept is float32.
    `refine_share` of the epochs come at the end, at `refine_learning_rate`, on images that are hardly
    distorted: what is served is more like them (He, Xie, Chen, Zhang, Wang and Tian 2019).
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

    def as_dict(self) -> dict[str, str | int | float | bool]:
        return asdict(self)


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

    def add_batch(self, loss: Tensor, console: Console) -> None:
        self._epoch.append(loss)
        self._window.append(loss)
        if len(self._window) == REPORT_EVERY_BATCHES:
            batch = REPORT_EVERY_BATCHES * (len(self.running_loss) + 1)
            self.running_loss.append((batch, _mean(self._window)))
            self._window.clear()
            console.print(f"mini-batch {batch}: running loss {self.running_loss[-1][1]:.4f}")

    def end_epoch(self) -> None:
        """Raises Diverged."""
        self.train_loss.append(_mean(self._epoch))
        self._epoch.clear()
        if not math.isfinite(self.train_loss[-1]):
            epoch = len(self.train_loss)
            raise Diverged(f"the loss of epoch {epoch} is not finite; lower the learning rate")


class Objective(NamedTuple):
    """`forward(net, inputs)` gives the outputs that `loss(outputs, targets)` compares."""

    forward: Callable[[nn.Module, Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]


class Phase(NamedTuple):
    """A part of a fit: what the images go through on their way to the net, and how it learns."""

    hyperparameters: Hyperparameters
    augment: Callable[[Tensor], Tensor] | None = None


def fit(
    net: nn.Module,
    objective: Objective,
    train: Rows,
    phases: Sequence[Phase],
    console: Console,
    validation: Rows | None = None,
) -> tuple[nn.Module, History]:
    """Fit `net` in place by SGD, phase by phase, and return the weights to keep, in evaluation mode.

    With `average_decay`, an exponential moving average of the weights is kept beside them, judged and
    returned (Polyak and Juditsky 1992). With `validation`, the epoch of the lowest validation loss is
    returned, otherwise the last; a later phase starts from the best so far. Raises Diverged.
    """
    epochs = sum(phase.hyperparameters.epochs for phase in phases)
    best, history = net, History(selected_epoch=epochs)
    with _progress(console) as progress:
        task = progress.add_task(
            "training", total=sum(_steps(train, phase.hyperparameters) for phase in phases)
        )

        def step(batch_loss: Tensor) -> None:
            history.add_batch(batch_loss.detach(), progress.console)
            progress.advance(task)

        for phase in phases:
            if best is not net:
                net.load_state_dict(best.state_dict())
            for judged in _fitted(net, objective, train, phase, step):
                history.end_epoch()
                if not validation:
                    best = judged
                elif _judge(judged.eval(), objective, validation, history, console):
                    best = copy.deepcopy(judged)
    return best.eval(), history


def _fitted(
    net: nn.Module, objective: Objective, train: Rows, phase: Phase, on_step: Callable[[Tensor], None]
) -> Iterator[nn.Module]:
    """The weights to be judged, after every epoch of one phase."""
    hp = phase.hyperparameters
    optimizer = _optimizer(net, hp)
    scheduler = _scheduler(optimizer, hp, _steps(train, hp))
    averaged = _averaged(net, hp.average_decay)

    def step(batch_loss: Tensor) -> None:
        optimizer.zero_grad()
        batch_loss.backward()
        optimizer.step()
        scheduler.step()
        if averaged:
            averaged.update_parameters(net)
        on_step(batch_loss)

    for _ in range(hp.epochs):
        _train_epoch(net.train(), objective, train, hp, phase.augment, step)
        yield averaged.module if averaged else net


def _train_epoch(
    net: nn.Module,
    objective: Objective,
    train: Rows,
    hp: Hyperparameters,
    augment: Callable[[Tensor], Tensor] | None,
    step: Callable[[Tensor], None],
) -> None:
    device = train.inputs.device
    for index in torch.randperm(len(train.inputs)).split(hp.batch_size):
        batch = train.take(index.to(device))
        inputs = augment(batch.inputs) if augment else batch.inputs
        with torch.autocast(device.type, torch.bfloat16, enabled=hp.bfloat16):
            outputs = objective.forward(net, inputs)
        step(objective.loss(outputs.to(torch.float32), batch.targets))


def batched(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """`function` over all rows of `inputs` without gradients, a thousand at a time."""
    with torch.inference_mode():
        return torch.cat([function(part) for part in inputs.split(EVALUATION_BATCH)])


def _judge(
    net: nn.Module, objective: Objective, validation: Rows, history: History, console: Console
) -> bool:
    """Measure on the validation rows; True when this epoch is the best so far."""
    outputs = batched(lambda inputs: objective.forward(net, inputs), validation.inputs)
    accuracy = (outputs.argmax(1) == validation.targets).double().mean().item()
    history.validation_loss.append(objective.loss(outputs, validation.targets).item())
    history.validation_accuracy.append(accuracy)
    epoch = len(history.validation_accuracy)
    console.print(
        f"epoch {epoch}: loss {history.train_loss[-1]:.4f},"
        f" validation loss {history.validation_loss[-1]:.4f}, accuracy {accuracy:.2%}"
    )
    best = history.validation_loss[-1] <= min(history.validation_loss)
    if best:
        history.selected_epoch = epoch
    return best


def _steps(train: Rows, hp: Hyperparameters) -> int:
    return hp.epochs * math.ceil(len(train.inputs) / hp.batch_size)


def _optimizer(net: nn.Module, hp: Hyperparameters) -> torch.optim.SGD:
    return torch.optim.SGD(
        net.parameters(),
        lr=hp.learning_rate,
        momentum=hp.momentum,
        nesterov=hp.nesterov,
        weight_decay=hp.weight_decay,
    )


def _scheduler(optimizer: torch.optim.Optimizer, hp: Hyperparameters, steps: int) -> LRScheduler:
    if hp.schedule == "one-cycle":
        # OneCycleLR divides by zero where warming up takes exactly one step.
        warm_up = hp.warm_up_share if hp.warm_up_share * steps != 1 else 0.0
        return OneCycleLR(optimizer, max_lr=hp.learning_rate, total_steps=steps, pct_start=warm_up)
    return ConstantLR(optimizer, factor=1.0)


def _averaged(net: nn.Module, decay: float) -> AveragedModel | None:
    if not decay:
        return None
    return AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _mean(losses: list[Tensor]) -> float:
    return torch.stack(losses).mean().item()
