"""The int8 form of a network: its convolutions and linear layers computed with one byte a number.

By `torch.ao.quantization`, which torch says it will drop: where it is missing there is no such form, and
the network is published without it. Weights have one scale a channel (Krishnamoorthi, arXiv 1806.08342,
2018).
"""

import copy
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

CALIBRATION_BATCH = 100

# What is computed in int8. All else, such as what normalises and what makes probabilities, is not.
LAYERS = (nn.Conv2d, nn.Linear)
BETWEEN = (nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, torch.relu, functional.relu, functional.max_pool2d)


class CannotQuantize(Exception):
    """There is no int8 form of this network here. The message says why."""


@dataclass(frozen=True)
class Quantization:
    """How the int8 form of a network is made.

    `rows`: a thousand training rows or more, on which the ranges of what layers find are measured.
    `in_float`: names of submodules that stay as they are, in one piece; so does the last layer, from which
    the answers follow.
    """

    rows: Tensor
    in_float: tuple[str, ...] = ()


def quantized(net: nn.Module, how: Quantization) -> nn.Module:
    """The int8 form of a network in evaluation mode, on the CPU; `net` stays as it is.

    Its forward must be traceable by `torch.fx`, but for what stays in float. Raises CannotQuantize.
    """
    layers = [
        name
        for name, module in net.named_modules()
        if isinstance(module, LAYERS) and not any(_is_in(name, whole) for whole in how.in_float)
    ]
    if len(layers) < 2:
        raise CannotQuantize("it has no convolution or linear layer before its last")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.ao speaks of its own end in every step
            form = _converted(copy.deepcopy(net), how, last=layers[-1])
    except ImportError as error:
        raise CannotQuantize(f"torch {torch.__version__} has no torch.ao.quantization") from error
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise CannotQuantize(" ".join(str(error).split())) from error
    return form.eval()


def _is_in(name: str, whole: str) -> bool:
    return name == whole or name.startswith(f"{whole}.")


def _converted(net: nn.Module, how: Quantization, last: str) -> nn.Module:
    from torch.ao.quantization import QConfigMapping, get_default_qconfig
    from torch.ao.quantization.fx.custom_config import PrepareCustomConfig
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    # "x86" leaves a bit of what layers find unused: processors without VNNI add up in 16 bits.
    in_int8, in_float = get_default_qconfig("x86"), None
    mapping = QConfigMapping()
    for kind in (*LAYERS, *BETWEEN):
        mapping.set_object_type(kind, in_int8)
    for name in (*how.in_float, last):
        mapping.set_module_name(name, in_float)
    whole = PrepareCustomConfig().set_non_traceable_module_names(list(how.in_float))
    prepared = prepare_fx(net, mapping, (how.rows[:1],), whole)
    with torch.inference_mode():
        for part in how.rows.split(CALIBRATION_BATCH):
            prepared(part)
    form: nn.Module = convert_fx(prepared)
    return form
