"""oneDNN's linear layers answer what torch's answer, whatever surrounds them."""

import pytest
import torch
from torch import Tensor, nn

from service.engine.fusion import fuse_linear_layers
from tests.engine.graphs import frozen, kinds
from training.digits.digit_nets import DigitNet, KaimingMlp, softmax_mlp


class Branches(nn.Module):
    """A layer whose output is used twice, one without a bias, and one whose weight is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.bare = nn.Linear(256, 256), nn.Linear(256, 256, bias=False)
        self.scale = nn.Parameter(torch.rand(256, 256) / 256)

    def forward(self, rows: Tensor) -> Tensor:
        found = self.shared(rows)
        factor = float(rows.size(0))
        computed = nn.functional.linear(found, self.scale * factor)
        return torch.relu(self.bare(torch.relu(found) + found)) + computed


@pytest.mark.parametrize("rows", [1, 2, 16, 65])
def test_a_chain_of_layers(rows: int) -> None:
    torch.manual_seed(0)
    module, plain = (frozen(net) for net in 2 * [DigitNet(softmax_mlp())])
    with torch.inference_mode():
        assert fuse_linear_layers(module.graph, rows)
        images_u8 = torch.randint(0, 256, (rows, 1, 28, 28), dtype=torch.uint8)
        torch.testing.assert_close(module(images_u8), plain(images_u8), atol=1e-6, rtol=0)
    assert kinds(module).count("mkldnn::_linear_pointwise") == 2
    assert kinds(module).count("aten::linear") == 3  # the narrow ones
    assert kinds(module).count("aten::relu") == 2


def test_only_what_is_safe_is_changed() -> None:
    torch.manual_seed(0)
    module, plain = (frozen(net) for net in 2 * [Branches()])
    with torch.inference_mode():
        assert fuse_linear_layers(module.graph, 16)
        rows = torch.randn(5, 256)
        torch.testing.assert_close(module(rows), plain(rows), atol=1e-5, rtol=0)
    module.graph.lint()
    assert kinds(module).count("mkldnn::_linear_pointwise") == 2
    assert kinds(module).count("aten::linear") == 1


def test_a_net_without_linear_layers_stays_as_it_is() -> None:
    module = frozen(KaimingMlp(final_relu=False))
    before = str(module.graph)
    assert not fuse_linear_layers(module.graph, 16)
    assert str(module.graph) == before


def test_a_torch_that_has_no_such_layers_is_served_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.engine.fusion._available", lambda: False)
    module = frozen(DigitNet(softmax_mlp()))
    assert not fuse_linear_layers(module.graph, 16)
    assert "aten::linear" in kinds(module)
