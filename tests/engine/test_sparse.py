"""A linear layer that multiplies ink alone answers what the whole layer answers, whatever the picture."""

import pytest
import torch
from torch import Tensor, nn

from service.engine.fusion import fuse_linear_layers
from service.engine.sparse import linear_of_ink, read_sparsely
from service.engine.ways import torchscript_accepted
from tests.conftest import Digits
from tests.engine.graphs import frozen, kinds
from training.digits.digit_nets import DigitNet, KaimingMlp, cnn, softmax_mlp

ROW = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)


class Net(nn.Module):
    """A layer that reads flattened pixels, after `before`."""

    def __init__(self, before: nn.Module, bias: bool = True) -> None:
        super().__init__()
        self.before = before
        self.layer = nn.Linear(784, 10, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(self.before(images.to(torch.float32)).flatten(1))
        return logits


class Standardised(nn.Module):
    """Every pixel by its own mean and deviation, as scikit-learn's StandardScaler does it."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.scale = nn.Parameter(torch.rand(1, 28, 28)), nn.Parameter(torch.rand(1, 28, 28))

    def forward(self, levels: Tensor) -> Tensor:
        return (levels / 255 - self.mean) * self.scale + 0.5


class Twice(nn.Module):
    """Its constant is subtracted twice: `alpha`."""

    def forward(self, levels: Tensor) -> Tensor:
        return torch.sub(levels, 100.0, alpha=2)


def changed(module: torch.jit.ScriptModule) -> bool:
    with torchscript_accepted():
        return read_sparsely(module.graph, ROW, torch.jit.script(linear_of_ink).graph)


@pytest.mark.parametrize("net", [DigitNet(softmax_mlp()), Net(nn.Identity()), Net(Standardised())])
@pytest.mark.parametrize("rows", [1, 2, 16, 65])
def test_any_picture_is_answered_as_before(net: nn.Module, rows: int, digits: Digits) -> None:
    module, plain = frozen(net), frozen(net)
    assert changed(module)
    module.graph.lint()
    assert "aten::embedding_bag" in kinds(module)
    assert kinds(module).count("aten::linear") == kinds(plain).count("aten::linear") - 1
    real = torch.from_numpy(digits.images_u8[:rows, None])
    noise = torch.randint(0, 256, (rows, 1, 28, 28), dtype=torch.uint8)
    mixed = real.clone()
    mixed[rows // 2] = 0  # a row without any ink, between others
    with torch.inference_mode():
        for images_u8 in (real, noise, mixed, torch.zeros_like(real)):
            expected = plain(images_u8)
            rounding = 3e-6 * max(1.0, expected.abs().max().item())
            torch.testing.assert_close(module(images_u8), expected, rtol=0, atol=rounding)


def test_the_other_layers_can_be_onednn_s(digits: Digits) -> None:
    module, plain = frozen(net := DigitNet(softmax_mlp())), frozen(net)
    with torch.inference_mode():
        assert changed(module)
        assert fuse_linear_layers(module.graph, 16)
        images_u8 = torch.from_numpy(digits.images_u8[:16, None])
        torch.testing.assert_close(module(images_u8), plain(images_u8), rtol=0, atol=3e-6)


def test_nothing_is_left_of_the_normalisation() -> None:
    module = frozen(DigitNet(softmax_mlp()))
    assert changed(module)
    assert "aten::sub" not in kinds(module)


@pytest.mark.parametrize(
    "net",
    [
        Net(nn.ReLU()),
        Net(Twice()),
        Net(nn.Identity(), bias=False),
        DigitNet(KaimingMlp(final_relu=False)),
        DigitNet(cnn()),
        nn.Linear(784, 10),
    ],
    ids=["not affine", "alpha", "no bias", "no linear layer", "convolutions first", "no pixels"],
)
def test_anything_else_stays_as_it_is(net: nn.Module) -> None:
    module = frozen(net)
    before = str(module.graph)
    assert not changed(module)
    assert str(module.graph) == before
