"""The int8 form of a candidate, compared with the network before it is published beside it."""

import math
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from service.artifacts.interface import Output
from service.artifacts.manifest import MAX_FORM_TOLERANCE, ArtifactError, Form
from service.engine.tensors import reason
from service.engine.torchscript import MODEL_FAULTS
from training.publishing.archive import script
from training.publishing.proof import FreshProcess, PublishFailed
from training.publishing.quantization import CannotQuantize, Quantization, quantized

INT8 = "int8"

# Stated is twice what is seen: for rows that are not seen, and for other processors' rounding.
MARGIN = 2
# The largest share of the proof's rows that may be decided otherwise.
MOST_CHANGED = 0.005


class FormMade(NamedTuple):
    form: Form
    archive: bytes


class Comparing(NamedTuple):
    """A network, and the rows on which other forms of it are compared with it, loaded in `process`."""

    net: nn.Module
    rows: Tensor
    output: Output
    process: FreshProcess


def forms_of(
    with_: Comparing,
    how: Quantization,
    tell: Callable[[str], object],
) -> list[FormMade]:
    """The forms beside float32 that are good enough. `tell` is told of each, or why it is left out."""
    try:
        made = int8_form(with_, how)
    except CannotQuantize as error:
        tell(f"there is no int8 form beside float32: {error}")
        return []
    form = made.form
    tell(
        f"there is an int8 form beside float32: answers differ by at most {form.tolerance:g},"
        f" {form.decisions_changed:.2%} of {form.rows:,} rows are decided otherwise"
    )
    return [made]


def int8_form(with_: Comparing, how: Quantization) -> FormMade:
    """Made, loaded in a fresh process and compared. Raises CannotQuantize when it is not good enough."""
    net, rows, output, process = with_
    try:
        form = quantized(net, how)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="The TorchScript type system"
            )  # of torch's own layers
            archive = script(form)
        answers = process.run_form(archive, rows)
    except (ArtifactError, PublishFailed, *MODEL_FAULTS) as error:
        raise CannotQuantize(reason(error)) from error
    with torch.inference_mode():
        exact = net(rows.clone())
    difference = (answers - exact).abs().max().item()
    changed = (decisions(answers, output) != decisions(exact, output)).any(1).double().mean().item()
    if not MARGIN * difference <= MAX_FORM_TOLERANCE:
        raise CannotQuantize(
            f"its answers differ by {difference:.3g}, more than {MAX_FORM_TOLERANCE / MARGIN:g}"
        )
    if changed > MOST_CHANGED:
        raise CannotQuantize(f"it decides {changed:.2%} of {len(rows):,} rows otherwise")
    tolerance = max(0.01, math.ceil(MARGIN * difference * 100) / 100)
    return FormMade(
        Form(name=INT8, tolerance=tolerance, decisions_changed=changed, rows=len(rows)), archive
    )


def decisions(answers: Tensor, output: Output) -> Tensor:
    """What is said of each row, `i64 [N, …]`: its label or whether it is positive; whether it is far."""
    if output.threshold is not None:
        return (answers >= output.threshold).long()
    label = answers[:, : len(output.labels)].argmax(1)
    far_out = answers[:, -1] > output.score.threshold if output.score else torch.zeros_like(label)
    return torch.stack([label, far_out.long()], dim=1)
