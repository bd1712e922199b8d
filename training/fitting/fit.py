"""The one training loop: mini-batch gradient descent, with a progress bar and the running loss."""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from training.data import Rows
from training.fitting.batches import Batch, Batches
from training.fitting.checkpoint import Checkpoint
from training.fitting.history import Diverged, History
from training.fitting.learner import Hyperparameters, Learner
from training.fitting.ranks import ALONE, Forward, Ranks

__all__ = ["Diverged", "History", "Hyperparameters", "Objective", "Phase", "batched", "fit"]

EVALUATION_BATCH = 1_000

RandomState = dict[str, Tensor | None]


class Objective(NamedTuple):
    """`forward(net, inputs)` gives the outputs that `loss(outputs, targets)` compares."""

    forward: Callable[[nn.Module, Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]


class Phase(NamedTuple):
    """A part of a fit: what the images go through on their way to the net, and how it learns.

    `workers`: so many processes may augment, which pays where that takes about as long as the net.
    """

    hyperparameters: Hyperparameters
    augment: Callable[[Tensor], Tensor] | None = None
    workers: int = 0


def fit(
    net: nn.Module,
    objective: Objective,
    train: Rows,
    phases: Sequence[Phase],
    console: Console,
    validation: Rows | None = None,
    checkpoint: Checkpoint | None = None,
    ranks: Ranks = ALONE,
) -> tuple[nn.Module, History]:
    """Fit `net` in place by SGD, phase by phase, and return the weights to keep, in evaluation mode.

    With `average_decay`, an exponential moving average of the weights is kept beside them, judged and
    returned (Polyak and Juditsky 1992). With `validation`, the epoch of the lowest validation loss is
    returned, otherwise the last; a later phase starts from the best so far. With `checkpoint`, what every
    epoch ended with is kept, and what it was resumed from is gone on with: the weights become the same, to
    the bit, on the same processor and number of threads. Raises Diverged.

    Of several `ranks` each computes its share of every batch. Only the first has a `checkpoint`, judges and
    is given the weights to keep; what the others are given is of no use.
    """
    epochs = sum(phase.hyperparameters.epochs for phase in phases)
    course = _Course(net, History(selected_epoch=epochs))
    ranks.part_seeds()
    resumed = ranks.by_first(lambda: checkpoint.resumed if checkpoint else None)
    if resumed:
        course.load_state_dict(resumed)
        _tell_of_other_ranks(resumed, ranks, console)
    forward = ranks.parallel(net, objective.forward)
    with _progress(console) as progress:
        steps = [_steps(train, phase.hyperparameters) for phase in phases]
        task = progress.add_task("training", total=sum(steps), completed=sum(steps[: course.phase]))
        for phase in phases[course.phase :]:
            if course.phase or resumed:
                net.load_state_dict(ranks.by_first(course.best.state_dict))
            learner = Learner(net, phase.hyperparameters, steps[course.phase])
            if resumed:
                _go_back(resumed, learner, train.inputs.device, ranks)
                progress.advance(task, course.epoch * _steps_an_epoch(train, phase.hyperparameters))
                resumed = None

            def step(batch_loss: Tensor, learner: Learner = learner) -> None:
                learner.step(batch_loss)
                course.history.add_batch(batch_loss.detach(), progress.console, ranks)
                progress.advance(task)

            hp = phase.hyperparameters.on(train.inputs.device)
            with Batches(train, hp.batch_size, phase.augment, ranks, phase.workers) as batches:
                while course.epoch < hp.epochs:
                    net.train()
                    _train_epoch(forward, objective, batches, hp, step)
                    course.end_epoch(learner.judged, objective, validation, console, ranks)
                    random = ranks.of_all(_random_state(train.inputs.device))
                    if checkpoint:
                        state = partial(_state, course, learner, random)
                        checkpoint.keep(len(course.history.train_loss), epochs, state)
            course.phase, course.epoch = course.phase + 1, 0
    return course.best.eval(), course.history


@dataclass
class _Course:
    """How far a fit has come: the best weights so far, and the phase, of which `epoch` epochs are done."""

    best: nn.Module
    history: History
    phase: int = 0
    epoch: int = 0

    def end_epoch(
        self,
        judged: nn.Module,
        objective: Objective,
        validation: Rows | None,
        console: Console,
        ranks: Ranks,
    ) -> None:
        """Raises Diverged."""
        self.history.end_epoch(ranks)
        self.epoch += 1
        if not validation or not ranks.first:
            self.best = judged
        elif _judge(judged.eval(), objective, validation, self.history, console):
            self.best = copy.deepcopy(judged)

    def state_dict(self) -> dict[str, Any]:
        place = {"phase": self.phase, "epoch": self.epoch}
        return {**place, "best": self.best.state_dict(), "history": self.history.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.phase, self.epoch = state["phase"], state["epoch"]
        self.best = copy.deepcopy(self.best)
        self.best.load_state_dict(state["best"])
        self.history.load_state_dict(state["history"])


def _state(course: _Course, learner: Learner, random: list[RandomState]) -> dict[str, Any]:
    """All that the rest of a fit depends on. `random`: of each rank."""
    return {**course.state_dict(), "learner": learner.state_dict(), "random": random}


def _random_state(device: torch.device) -> RandomState:
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _go_back(state: dict[str, Any], learner: Learner, device: torch.device, ranks: Ranks) -> None:
    """Put everything that `_Course` does not hold back to where `_state` was taken."""
    learner.load_state_dict(state["learner"])
    if ranks.rank < len(state["random"]):
        random = state["random"][ranks.rank]
        torch.set_rng_state(random["cpu"])
        if random["cuda"] is not None:
            torch.cuda.set_rng_state(random["cuda"], device)


def _tell_of_other_ranks(state: dict[str, Any], ranks: Ranks, console: Console) -> None:
    before = len(state["random"])
    if before != ranks.size:
        console.print(
            f"Warning: {before} processes then and {ranks.size} now: the weights will not be those of a"
            " training that never stopped"
        )


def _train_epoch(
    forward: Forward,
    objective: Objective,
    batches: Iterable[Batch],
    hp: Hyperparameters,
    step: Callable[[Tensor], None],
) -> None:
    for (inputs, targets), weight in batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=hp.bfloat16):
            outputs = forward(inputs)
        loss = objective.loss(outputs.to(torch.float32), targets)
        step(loss if weight == 1 else loss * weight)


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
    return hp.epochs * _steps_an_epoch(train, hp)


def _steps_an_epoch(train: Rows, hp: Hyperparameters) -> int:
    return math.ceil(len(train.inputs) / hp.batch_size)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
