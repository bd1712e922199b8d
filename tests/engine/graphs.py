"""Nets as the engine has them, and what their graphs compute."""

import torch
from torch import nn

from service.engine.ways import torchscript_accepted


def frozen(net: nn.Module) -> torch.jit.ScriptModule:
    with torchscript_accepted():
        module: torch.jit.ScriptModule = torch.jit.freeze(torch.jit.script(net.eval()))
    return module


def kinds(module: torch.jit.ScriptModule) -> list[str]:
    """Of its operators, in order."""
    return [node.kind() for node in module.graph.nodes()]
