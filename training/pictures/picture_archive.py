"""The picture net as it is published: what normalises is folded in, and a weight is one byte."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, max_pool2d, relu
from torch.nn.utils.fusion import fuse_conv_bn_weights

from training.pictures.picture_net import HEAD_SCALE, Block, Head, PictureNet

LARGEST = 127  # of an int8, the same both ways
SMALLEST = 1e-12  # of a channel without weights: nought divided by it is nought


class StoredConvolution(nn.Module):
    """3×3. Its weights are int8 in the archive, with one scale an output channel; it computes in float32.

    Freezing the graph, as the service does, makes float32 weights of both once. A scale a channel costs
    no accuracy at 8 bits (Krishnamoorthi, "Quantizing deep convolutional networks for efficient
    inference", arXiv 1806.08342, 2018).
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        assert (norm.weight > 0).all()
        fused = fuse_conv_bn_weights(
            convolution.weight, None, mean, variance, norm.eps, norm.weight, norm.bias
        )
        weight, bias = (parameter.detach() for parameter in fused)
        scale = weight.abs().amax((1, 2, 3), keepdim=True).clamp_min(SMALLEST) / LARGEST
        self.register_buffer("weight", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias.float())

    def forward(self, maps: Tensor) -> Tensor:
        return conv2d(maps, self.weight * self.scale, self.bias, padding=1)


class StoredBlock(nn.Module):
    """As `picture_net.Block`, halved after the first convolution.

    The largest of values that are all scaled by a positive number and moved alike is the largest of them,
    scaled and moved: so what normalises behind the pooling can be folded in before it.
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.first = StoredConvolution(block.first, block.first_norm)
        self.second = StoredConvolution(block.second, block.second_norm)
        self.third = StoredConvolution(block.third, block.third_norm)

    def forward(self, maps: Tensor) -> Tensor:
        halved = relu(max_pool2d(self.first(maps), 2))
        return relu(self.third(relu(self.second(halved))) + halved)


class StoredPictureNet(nn.Module):
    """`images_u8 [N, 3, H, W]` → the probabilities of a PictureNet, to three digits, `f32 [N, C]`.

    With `mirror`, logits are the mean of a picture's and its mirror image's: twice the time, fewer
    mistakes.
    """

    mirror: bool
    head: Tensor
    mean: Tensor
    std: Tensor
    temperature: Tensor

    def __init__(self, net: PictureNet, mirror: bool) -> None:
        super().__init__()
        self.mirror = mirror
        whitening, _, *blocks, head = net.body.children()
        assert isinstance(head, Head)
        self.whitening = whitening  # float32: its filters are differences of large numbers
        self.blocks = nn.Sequential(*(StoredBlock(block) for block in blocks if isinstance(block, Block)))
        self.register_buffer("head", (head.linear.weight.detach() * HEAD_SCALE).half())
        self.register_buffer("mean", net.mean)
        self.register_buffer("std", net.std)
        self.register_buffer("temperature", net.temperature)

    def logits(self, images: Tensor) -> Tensor:
        scaled = images.to(torch.float32).div(255).sub(self.mean).div(self.std)
        logits = self._once(scaled)
        return (logits + self._once(scaled.flip(3))) / 2 if self.mirror else logits

    def _once(self, scaled: Tensor) -> Tensor:
        maps = self.blocks(torch.relu(self.whitening(scaled)))
        return linear(maps.amax((2, 3)), self.head.float())

    def forward(self, images: Tensor) -> Tensor:
        return torch.softmax(self.logits(images) / self.temperature, dim=1)
