"""How the int8 form of a digit net is made."""

import torch
from torch import nn

from training.data import Rows
from training.digits.detector import refit_threshold
from training.digits.digit_nets import RejectingDigitNet
from training.quantization import Quantization

CALIBRATION_ROWS = 1_000


def digit_quantization(net: nn.Module, train: Rows, validation: Rows) -> Quantization:
    """From which score on a picture is no digit is fitted to what the int8 form answers."""
    order = torch.randperm(len(train.inputs), generator=torch.Generator().manual_seed(0))
    rows = train.inputs[order[:CALIBRATION_ROWS]]
    if not isinstance(net, RejectingDigitNet):
        return Quantization(rows)
    return Quantization(rows, refit=lambda form: refit_threshold(form, validation))
