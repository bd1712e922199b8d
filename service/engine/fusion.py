"""Linear layers of a frozen TorchScript graph as oneDNN's: laid out in advance, with ReLU in the same pass.

MKL, which torch calls otherwise, lays the weights out anew in every call: for a batch of 16 digits and
784-512-256-128-64-10 that takes half of the time. What torch.compile makes of a linear layer on a CPU is
called here (`torch._inductor.mkldnn_lowerings`), without its compiler.
"""

from typing import Any

import torch
from torch import Tensor

WIDE = 2**16  # weights

Graph = Any  # torch._C.Graph and its nodes have no published types
Node = Any


def fuse_linear_layers(graph: Graph, rows: int) -> bool:
    """Change the graph in place, for batches of about so many `rows`. False: there is nothing to change."""
    if not _available():
        return False
    layers = [node for node in graph.findAllNodes("aten::linear") if _is_wide(node)]
    for layer in layers:
        _fuse(graph, layer, rows)
    return bool(layers)


def _available() -> bool:
    """Whether this build of torch has oneDNN's layers and the operators that make them."""
    names = ("_linear_pointwise", "_reorder_linear_weight")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, n) for n in names)


def _is_wide(layer: Node) -> bool:
    """Whether it is wide and constant: a narrow one does not save the 10 µs that oneDNN costs over MKL."""
    _, weight, bias = layer.inputs()
    known = weight.toIValue()
    return isinstance(known, Tensor) and known.numel() >= WIDE and bias.node().kind() == "prim::Constant"


def _fuse(graph: Graph, layer: Node, rows: int) -> None:
    images, weight, bias = layer.inputs()
    after = [use.user for use in layer.output().uses()]
    relu = after[0] if len(after) == 1 and after[0].kind() == "aten::relu" else None
    with graph.insert_point_guard(layer):
        packed = graph.insertNode(graph.create("prim::ConstantMKLDNNTensor", [], 1))
        packed.t_("value", torch.ops.mkldnn._reorder_linear_weight(weight.toIValue(), rows))
        scalars = graph.insertNode(graph.create("prim::ListConstruct", [], 1))
        scalars.output().setType(torch._C.ListType(torch._C.OptionalType(torch._C.NumberType.get())))
        activation, algorithm = graph.insertConstant("relu" if relu else "none"), graph.insertConstant("")
        arguments = [images, packed.output(), bias, activation, scalars.output(), algorithm]
        fused = graph.insertNode(graph.create("mkldnn::_linear_pointwise", arguments, 1))
    (relu or layer).output().replaceAllUsesWith(fused.output())
    if relu:
        relu.destroy()
    layer.destroy()
