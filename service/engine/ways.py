"""The ways to compute an archive on this machine: as it is, by oneDNN, with no more than the ink, in int8.

All but those of another form give the same answers, within rounding. Of the service only this module, and
`fusion`, `sparse`, `quantized` and `torchscript` for it, know TorchScript (`devices` chooses its executor);
`onnx_session` knows ONNX.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from service.artifacts.manifest import Form, Manifest
from service.engine.devices import Runner
from service.engine.fusion import fuse_linear_layers
from service.engine.quantized import Quantized
from service.engine.quickest import FUSED_ROWS
from service.engine.sparse import linear_of_ink, read_sparsely
from service.engine.tensors import reason
from service.engine.torchscript import MODEL_FAULTS, load_archive

logger = logging.getLogger(__name__)

PLAIN = "plain"

# The forms that this service can load, and where an archive holds one: torch's further files.
FORMS = ("int8",)
FORM_FILE = "forms/{}.pt"


class Way(NamedTuple):
    """`form`: of the weights; None where they are as `check` knows them, and answers are exact.

    `per_size`: makes from an example row what computes it sooner, on as many threads as there are then.
    """

    name: str
    run: Runner
    form: Form | None = None
    per_size: Callable[[Tensor], Runner] | None = None

    def made_ready(self, row: Tensor) -> Runner:
        return self.per_size(row) if self.per_size else self.run


class Ways(NamedTuple):
    """The ways that there are, the plain one first; and why others, by their names, are missing."""

    ways: tuple[Way, ...]
    missing: Mapping[str, str]


def exact_ways(model: bytes, device: torch.device, row: Tensor, several: bool) -> list[Way]:
    """The ways whose answers are the archive's own; one alone unless `several` are wanted.

    Raises RuntimeError or ValueError when it is no archive.
    """

    def loaded() -> Any:
        return load_archive(model, device).eval()

    plain = torch.jit.freeze(loaded())  # weights become constants
    ways = [Way(PLAIN, plain.forward)]
    if several and "aten::conv" in str(plain.graph):
        optimized = torch.jit.optimize_for_inference(loaded()).forward
        if _computes(optimized, row):
            ways.append(Way("optimized", optimized))
    elif several:
        sparse, fused = torch.jit.freeze(loaded()), torch.jit.freeze(loaded())
        of_ink = torch.jit.script(linear_of_ink).graph
        name = "onednn"
        if read_sparsely(sparse.graph, row, of_ink):
            ways.append(Way("ink", sparse.forward))
            read_sparsely(fused.graph, row, of_ink)
            name = "ink+onednn"
        with torch.inference_mode():
            if fuse_linear_layers(fused.graph, FUSED_ROWS):
                ways.append(Way(name, fused.forward))
    return ways


def _computes(run: Runner, row: Tensor) -> bool:
    """Whether oneDNN can do what was handed to it: some pooling it cannot, which its first call says."""
    try:
        with torch.inference_mode():
            run(row.clone())
    except MODEL_FAULTS:
        return False
    return True


def other_forms(model: bytes, manifest: Manifest) -> Ways:
    """The forms of the same weights that this torch can compute on a CPU. None of them is checked yet.

    What cannot be loaded is left out: the plain form serves in its place.
    """
    ways, missing = list[Way](), dict[str, str]()
    for form in manifest.forms:
        if form.name not in FORMS:
            missing[form.name] = "this version of the service does not know it"
            continue
        try:
            with torchscript_accepted():
                quantized = form_of(model, form.name)
            ways.append(Way(form.name, quantized.run, form, quantized.per_size))
        except (*MODEL_FAULTS, ValueError, AttributeError) as error:
            missing[form.name] = f"torch {torch.__version__} cannot load it: {reason(error)}"
    return Ways(tuple(ways), missing)


def form_of(model: bytes, name: str) -> Quantized:
    """One form that an archive holds. Raises RuntimeError, ValueError or AttributeError."""
    found = {FORM_FILE.format(name): b""}
    load_archive(model, further=found)
    if not (archive := found[FORM_FILE.format(name)]):
        raise ValueError("the archive does not hold it")
    return Quantized(archive)


def log_missing(title: str, missing: Mapping[str, str]) -> None:
    for name, why in missing.items():
        logger.warning("%s is served without its form %s: %s", title, name, why)


@contextmanager
def torchscript_accepted() -> Iterator[None]:
    """Silence TorchScript's deprecation notice: docs/decisions/0002 says why it is used nevertheless."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is (deprecated|not supported)")
        yield
