"""A network as an ONNX file, by torch.export."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from service import installing
from service.engine.tensors import reason
from service.engine.torchscript import MODEL_FAULTS
from training.publishing.archive import unscripted
from training.publishing.proof import PublishFailed

NEEDED = ("onnx", "onnxscript", "onnxruntime")
_FAULTS = (*MODEL_FAULTS, ValueError, TypeError, AttributeError, LookupError, AssertionError, ImportError)


def onnx_file(net: nn.Module, rows: Tensor) -> bytes:
    """The network with any number of rows. `rows`: an example of what it answers, [N, ...].

    Raises PublishFailed where it cannot be exported, or what exports is not installed.
    """
    if missing := [name for name in NEEDED if not find_spec(name)]:
        raise PublishFailed(f"{missing[0]} is missing; an ONNX file needs {installing('to-onnx')}")
    two = torch.cat([rows, rows])[:2]  # of one row torch takes the number for granted
    saved = io.BytesIO()
    try:
        with _quietly(), torch.no_grad():
            any_number = ({0: torch.export.Dim.DYNAMIC},)
            program = torch.export.export(unscripted(net, two), (two,), dynamic_shapes=any_number)
            found = torch.onnx.export(program, (two,), dynamo=True, verbose=False)
            assert found is not None
            saved.write(found.model_proto.SerializeToString())
    except _FAULTS as error:
        raise PublishFailed(f"it cannot be exported to ONNX: {reason(error)}") from error
    return saved.getvalue()


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence what torch tells whoever develops an exporter."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
