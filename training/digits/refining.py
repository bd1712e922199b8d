"""Trained weights learn what they have not seen, and forget less of what they knew than by training on.

While learning, they are taught by what they were; afterwards the weights are a mean of both, as robust
fine-tuning has it (Wortsman et al. 2022, arXiv 2109.01903).
"""

import copy
from dataclasses import replace

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from training.data import Rows
from training.digits.digit_nets import RejectingDigitNet
from training.digits.digit_recipe import CNN, Recipe
from training.fitting.fit import Objective, fit

# Hardly any epoch on distorted images: the mean keeps what the former weights know of these.
REFINING = replace(
    CNN.hyperparameters,
    epochs=7,
    learning_rate=0.005,
    warm_up_share=0.1,
    refine_share=6 / 7,
)
# Share of a target that is what the former weights answer: of MNIST's own, where they are right.
TAUGHT = 0.5
KEPT = 0.5  # share of the former weights in the mean
CLASSES = 10


def refined(
    net: RejectingDigitNet, recipe: Recipe, train: Rows, own: int, console: Console
) -> RejectingDigitNet:
    """`net` stays as it is. The first `own` rows are MNIST's own. Raises Diverged."""
    torch.manual_seed(0)
    learning = copy.deepcopy(net)
    is_own = torch.arange(len(train.targets)) < own
    rows = Rows(train.inputs, torch.stack([train.targets, is_own.to(train.targets)], dim=1))
    learnt, _ = fit(learning, taught_by(net), rows, recipe.phases(REFINING), console)
    former, latter = net.state_dict(), learnt.state_dict()
    mean = {
        name: latter[name].lerp(value, KEPT) if value.is_floating_point() else value
        for name, value in former.items()
    }
    learning.load_state_dict(mean)
    return learning.eval()


def taught_by(teacher: RejectingDigitNet) -> Objective:
    """Cross-entropy to what the teacher answers and the label says (Hinton, Vinyals and Dean 2015).

    Targets are i64 [N, 2]: the label, and 1 where the teacher is asked.
    """

    def forward(net: nn.Module, images: Tensor) -> Tensor:
        assert isinstance(net, RejectingDigitNet)
        with torch.no_grad():
            taught = teacher.logits(images)
        return torch.stack([net.logits(images), taught], dim=1)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        (own, taught), (labels, is_asked) = logits.unbind(1), targets.unbind(1)
        share = TAUGHT * ((taught.argmax(1) == labels) & (is_asked > 0)).to(own.dtype).unsqueeze(1)
        target = one_hot(labels, CLASSES).to(own.dtype).lerp(torch.softmax(taught, dim=1), share)
        return cross_entropy(own, target)

    return Objective(forward=forward, loss=loss)
