"""Trained weights learn what they have not seen, and are taught what they and others knew.

Knowledge distillation (Hinton, Vinyals and Dean 2015, arXiv 1503.02531): all see the same distorted images,
for many epochs (Beyer et al. 2022, arXiv 2106.05237).
"""

import copy
from collections.abc import Sequence

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from training.data import Rows
from training.digits.augment import WORKERS, distort_most
from training.digits.digit_nets import RejectingDigitNet
from training.fitting.fit import Hyperparameters, Objective, Phase, fit

REFINING = Hyperparameters(
    epochs=36,
    batch_size=256,
    learning_rate=0.03,
    momentum=0.9,
    nesterov=True,
    weight_decay=2e-4,
    schedule="one-cycle",
    warm_up_share=0.1,
    average_decay=0.998,
    bfloat16=True,
)
DROPOUT = 0.1  # less than the recipe's: what is taught is no certainty that could be learnt by heart
TEMPERATURE = 2.0
# Shares of the loss that are what is taught: of MNIST's own rows by all, of the others, which teachers may
# never have seen, by the former weights; the rest is what labels say.
TAUGHT, OTHERS_TAUGHT = 0.8, 0.4
CLASSES = 10
LEAST = 1e-10  # of a probability that is 0 in float32


def refined(
    net: RejectingDigitNet, teachers: Sequence[nn.Module], train: Rows, own: int, console: Console
) -> RejectingDigitNet:
    """`net` stays as it is. The first `own` rows are MNIST's own. Raises Diverged.

    `teachers`: other nets, which answer `images_u8 [N, 1, 28, 28]` by probabilities `f32 [N, ≥ 10]`.
    """
    torch.manual_seed(0)
    learning = copy.deepcopy(net)
    for module in learning.modules():
        if isinstance(module, nn.Dropout):
            module.p = DROPOUT
    is_own = torch.arange(len(train.targets)) < own
    rows = Rows(train.inputs, torch.stack([train.targets, is_own.to(train.targets)], dim=1))
    phase = Phase(REFINING, distort_most, WORKERS)
    learnt, _ = fit(learning, taught_by(net, teachers), rows, (phase,), console)
    after = copy.deepcopy(net)
    after.load_state_dict(learnt.state_dict())
    return after.eval()


def taught_by(former: RejectingDigitNet, teachers: Sequence[nn.Module]) -> Objective:
    """What teachers say is the mean of the logarithms of their probabilities, the former net's among them.

    Targets are i64 [N, 2]: the label, and 1 where all teach, 0 where the former net does alone.
    """

    def forward(net: nn.Module, images: Tensor) -> Tensor:
        assert isinstance(net, RejectingDigitNet)
        with torch.no_grad():
            known = torch.log_softmax(former.logits(images).float(), dim=1)
            others = [teacher(images)[:, :CLASSES].float().clamp_min(LEAST).log() for teacher in teachers]
            taught = torch.stack([known, *others]).mean(0)
        return torch.stack([net.logits(images).float(), known, taught], dim=1)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        (own, known, taught), (labels, is_own) = logits.unbind(1), targets.unbind(1)
        target = torch.where(is_own.unsqueeze(1) > 0, taught, known)
        soft = kl_div(_softened(own), _softened(target), log_target=True, reduction="none").sum(1)
        hard = cross_entropy(own, labels, reduction="none")
        share = torch.where(is_own > 0, TAUGHT, OTHERS_TAUGHT)
        return torch.lerp(hard, TEMPERATURE**2 * soft, share).mean()

    return Objective(forward=forward, loss=loss)


def _softened(logits: Tensor) -> Tensor:
    return torch.log_softmax(logits / TEMPERATURE, dim=1)
