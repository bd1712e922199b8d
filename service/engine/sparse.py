"""The first linear layer of a net that reads pictures: only their ink is multiplied.

Of a prepared picture's pixels five in six are 0. What such a pixel adds to a linear layer, through the
normalisation before it, is the same for every picture and becomes part of the bias. The others choose the
columns of the weight that are added up: a sixth of the memory that a dense layer reads, which is what a
small batch waits for (docs/decisions/0008).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Graph = Any  # torch._C.Graph and its nodes have no published types
Node = Any
Value = Any

# What may stand between the pixels and the layer: a change of each level that is affine, with a constant.
_AFFINE: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "aten::add": torch.add,
    "aten::sub": torch.sub,
    "aten::mul": torch.mul,
    "aten::div": torch.div,
}
_FLOAT32 = 6  # as graphs call it: c10::ScalarType


def read_sparsely(graph: Graph, row: Tensor, of_ink: Graph) -> bool:
    """Change a frozen graph in place, where pixels are normalised, flattened and read by a linear layer.

    `row`: one row of the graph's input, [1, ...]. `of_ink`: that of `linear_of_ink`.
    False: there is nothing to change.
    """
    images = list(graph.inputs())[-1]
    for layer in graph.findAllNodes("aten::linear"):
        flat, weight, bias = layer.inputs()
        steps = _steps(flat.node(), images)
        if steps is not None and all(isinstance(value.toIValue(), Tensor) for value in (weight, bias)):
            _replace(graph, layer, of_ink, images, _affine(steps, row))
            return True
    return False


def _steps(flatten: Node, images: Value) -> list[tuple[str, Any]] | None:
    """What is done to each level of `images`, in order, before all are flattened; None if it is more."""
    if flatten.kind() != "aten::flatten":
        return None
    levels, *ends = flatten.inputs()
    if [end.toIValue() for end in ends] != [1, -1]:
        return None
    steps: list[tuple[str, Any]] = []
    while (node := levels.node()).kind() in _AFFINE:
        levels, constant, *alpha = node.inputs()
        known = constant.toIValue()
        if known is None or any(factor.toIValue() != 1 for factor in alpha):
            return None
        steps.insert(0, (node.kind(), known))
    to_float = node.kind() == "aten::to" and next(node.inputs()) == images
    return steps if to_float and list(node.inputs())[1].toIValue() == _FLOAT32 else None


def _affine(steps: list[tuple[str, Any]], row: Tensor) -> tuple[Tensor, Tensor]:
    """The factor and the summand of every pixel, `f64 [pixels]`: one is a difference of near numbers."""

    def after(levels: Tensor) -> Tensor:
        for kind, constant in steps:
            levels = _AFFINE[kind](levels, constant)
        return levels.flatten()

    summand = after(torch.zeros(row.shape[1:], dtype=torch.float64))
    return after(torch.ones(row.shape[1:], dtype=torch.float64)) - summand, summand


def _replace(
    graph: Graph, layer: Node, of_ink: Graph, images: Value, affine: tuple[Tensor, Tensor]
) -> None:
    _, weight, bias = (value.toIValue() for value in layer.inputs())
    factor, summand = affine
    columns, of_ground = (weight * factor).t().contiguous(), bias + weight.double() @ summand
    with graph.insert_point_guard(layer):
        constants = [graph.insertConstant(tensor.float()) for tensor in (columns, of_ground)]
        (output,) = graph.insertGraph(of_ink, [images, *constants])
    layer.output().replaceAllUsesWith(output)
    layer.destroy()
    torch._C._jit_pass_dce(graph)  # the normalisation, which nothing reads any longer


def linear_of_ink(images: Tensor, columns: Tensor, of_ground: Tensor) -> Tensor:
    """`images` [N, ...], `columns f32 [pixels, M]`, `of_ground f32 [M]` → `f32 [N, M]`. Can be scripted."""
    pixels = columns.size(0)
    levels = images.flatten()
    ink = levels.nonzero().flatten()
    weights = levels.index_select(0, ink).float()
    if images.size(0) == 1:
        starts = torch.zeros(1, dtype=torch.int64)
    else:
        starts = torch.searchsorted(ink, torch.arange(0, levels.numel(), pixels))
        ink = ink % pixels
    return torch.embedding_bag(columns, ink, starts, False, 0, False, weights)[0] + of_ground
