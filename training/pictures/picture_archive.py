"""The picture net as it is published: what normalises is folded in, and a weight is two bytes."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, max_pool2d
from torch.nn.utils.fusion import fuse_conv_bn_weights

from training.pictures.picture_net import HEAD_SCALE, Head, PictureNet


class StoredConvolution(nn.Module):
    """3×3, then ReLU. Its weights are float16 in the archive, and float32 again before they are used."""

    weight: Tensor
    bias: Tensor

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        weight, bias = fuse_conv_bn_weights(
            convolution.weight, None, mean, variance, norm.eps, norm.weight, norm.bias
        )
        self.register_buffer("weight", weight.detach().half())
        self.register_buffer("bias", bias.detach().float())

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(conv2d(maps, self.weight.float(), self.bias, padding=1))


class StoredBlock(nn.Module):
    """As `picture_net.block`, halved after the first convolution.

    The largest of values that are all scaled by a positive number and moved alike is the largest of them,
    scaled and moved: so what normalises behind the pooling can be folded in before it.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        first, _, first_norm, _, second, second_norm, _ = block.children()
        self.first = _stored(first, first_norm)
        self.second = _stored(second, second_norm)

    def forward(self, maps: Tensor) -> Tensor:
        halved: Tensor = self.second(max_pool2d(self.first(maps), 2))
        return halved


class StoredPictureNet(nn.Module):
    """`images_u8 [N, 3, H, W]` → the probabilities of a PictureNet, to three digits, `f32 [N, C]`."""

    head: Tensor
    mean: Tensor
    std: Tensor
    temperature: Tensor

    def __init__(self, net: PictureNet) -> None:
        super().__init__()
        whitening, _, *blocks, head = net.body.children()
        assert isinstance(head, Head)
        self.whitening = whitening  # float32: its filters are differences of large numbers
        self.blocks = nn.Sequential(*map(StoredBlock, blocks))
        self.register_buffer("head", (head.linear.weight.detach() * HEAD_SCALE).half())
        self.register_buffer("mean", net.mean)
        self.register_buffer("std", net.std)
        self.register_buffer("temperature", net.temperature)

    def logits(self, images: Tensor) -> Tensor:
        scaled = images.to(torch.float32).div(255).sub(self.mean).div(self.std)
        maps = self.blocks(torch.relu(self.whitening(scaled)))
        return linear(maps.amax((2, 3)), self.head.float())

    def forward(self, images: Tensor) -> Tensor:
        return torch.softmax(self.logits(images) / self.temperature, dim=1)


def _stored(convolution: nn.Module, norm: nn.Module) -> StoredConvolution:
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert (norm.weight > 0).all()
    return StoredConvolution(convolution, norm)
