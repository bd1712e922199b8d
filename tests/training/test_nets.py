"""What the networks compute, against torchvision and against the lectures' identities."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import (
    binary_cross_entropy,
    cross_entropy,
    log_softmax,
    nll_loss,
)
from torchvision import transforms

from tests.conftest import Digits
from training.digits import digit_nets as nets
from training.pass_net import PassNet
from training.record import parameter_count


def test_normalisation_equals_torchvisions_bit_for_bit(digits: Digits) -> None:
    every_level = np.arange(28 * 28, dtype=np.uint32).reshape(28, 28).astype(np.uint8)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    scripted = torch.jit.script(nets.Normalize())
    for image in [every_level, *digits.images_u8[:100]]:
        expected = transform(Image.fromarray(image))
        normalised = scripted(torch.from_numpy(image)[None, None])[0]
        assert torch.equal(normalised, expected)


def test_probabilities_are_a_softmax_of_the_logits(digits: Digits) -> None:
    net = nets.DigitNet(nets.cnn()).eval()
    images_u8 = torch.from_numpy(digits.images_u8[:8]).unsqueeze(1)
    torch.testing.assert_close(net(images_u8), net.logits(images_u8).softmax(1))


def test_architectures() -> None:
    assert parameter_count(nets.RejectingDigitNet(nets.cnn())) == 198_659
    assert parameter_count(nets.softmax_mlp()) == 575_050
    layers = [m for m in nets.softmax_mlp().modules() if isinstance(m, nn.Linear)]
    assert [m.out_features for m in layers] == [512, 256, 128, 64, 10]
    kaiming = nets.KaimingMlp(final_relu=True)
    shapes = [tuple(p.shape) for p in kaiming.parameters() if p.dim() == 2]
    assert shapes == [(200, 784), (200, 200), (10, 200)]


def test_the_last_relu_is_what_the_option_says() -> None:
    torch.manual_seed(0)
    images = torch.randn(64, 1, 28, 28)
    assert nets.KaimingMlp(final_relu=True)(images).min() == 0
    assert nets.KaimingMlp(final_relu=False)(images).min() < 0


def test_kaiming_weights_have_the_fan_in_variance() -> None:
    torch.manual_seed(0)
    w1 = nets.KaimingMlp(final_relu=True).w1
    assert w1.std().item() == pytest.approx((2 / 784) ** 0.5, rel=0.02)


def test_cross_entropy_is_log_softmax_and_negative_log_likelihood() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(32, 10), torch.randint(10, (32,))
    combined = cross_entropy(logits, labels)
    torch.testing.assert_close(combined, nll_loss(log_softmax(logits, dim=1), labels))


def test_a_summed_loss_has_n_times_the_gradient_of_the_mean() -> None:
    torch.manual_seed(0)
    hours, passed = torch.rand(17, 1) * 5, torch.randint(2, (17, 1)).float()
    gradients = {}
    for reduction in ("sum", "mean"):
        net = PassNet()
        nn.init.constant_(net.linear.weight, 0.3)
        nn.init.constant_(net.linear.bias, -1.0)
        binary_cross_entropy(net(hours), passed, reduction=reduction).backward()
        gradients[reduction] = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
    torch.testing.assert_close(gradients["sum"], 17 * gradients["mean"])


def test_coefficients_are_per_hour_whatever_the_scaling() -> None:
    net = PassNet(shift=10.0, scale=4.0)
    w, b = net.coefficients()
    hours = torch.tensor([[3.0]])
    assert torch.sigmoid(torch.tensor(w * 3 + b)).item() == pytest.approx(net(hours).item(), abs=1e-6)
