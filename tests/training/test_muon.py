"""Muon: its step against the singular value decomposition, and who learns by it."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from training.fitting.learner import Hyperparameters, Learner
from training.fitting.muon import convolution_muon


def test_a_step_goes_nearly_as_far_in_weak_directions_as_in_strong_ones() -> None:
    """It comes near the rate times the orthogonal matrix that is nearest to the gradient."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(6, 5, 3, 3).to(memory_format=torch.channels_last))
    left, right = torch.linalg.qr(torch.randn(6, 6))[0], torch.linalg.qr(torch.randn(45, 6))[0]
    strengths = torch.tensor([10.0, 5, 4, 3, 2, 1])
    gradient = ((left * strengths) @ right.T).view(6, 3, 3, 5).permute(0, 3, 1, 2)
    scaled = weight.detach() * math.sqrt(6) / weight.detach().norm()
    weight.grad = gradient.contiguous()
    convolution_muon([weight], lr=0.2, momentum=0.6).step()
    step = (scaled - weight.detach()).permute(0, 2, 3, 1).flatten(1)
    along = (left.T @ step @ right).diagonal() / 0.2
    assert along.min() > 0.5
    assert along.max() < 1.5
    assert torch.cosine_similarity(step.flatten(), (left @ right.T).flatten(), dim=0) > 0.95
    assert torch.cosine_similarity(step.flatten(), gradient.permute(0, 2, 3, 1).flatten(), dim=0) < 0.9


def test_convolutions_learn_by_it_and_the_rest_as_without() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 2))
    net.to(memory_format=torch.channels_last)
    plain = copy.deepcopy(net)
    hp = Hyperparameters(epochs=1, batch_size=1, learning_rate=0.1, schedule="linear")
    for learning, how in (
        (net, replace(hp, muon_learning_rate=0.2, muon_momentum=0.6)),
        (plain, hp),
    ):
        learner = Learner(learning, how, steps=2)
        learner.step(learning(torch.ones(1, 3, 3, 3)).sum())
        rates = [optimizer["param_groups"][0]["lr"] for optimizer in learner.state_dict()["optimizers"]]
        assert rates == pytest.approx([0.05] if how is hp else [0.05, 0.1])  # half of the way is gone
    equal = {
        name for name, weight in net.named_parameters() if torch.equal(weight, plain.get_parameter(name))
    }
    assert equal == {"0.bias", "2.weight", "2.bias"}
    assert net.get_parameter("0.weight").norm().item() == pytest.approx(math.sqrt(8), rel=0.2)
