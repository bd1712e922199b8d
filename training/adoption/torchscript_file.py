"""TorchScript files, read and made. What is pickled is never unpickled: it could run anything."""

import importlib
import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from service.artifacts.store import MAX_MODEL_BYTES
from service.engine.predictor import torchscript_accepted
from service.engine.tensors import first_line
from training.data import DataUnavailable

EXPORT = "make a TorchScript file of the module: `python -m training export MODULE:CALLABLE`"

# How files of other formats begin, or are called, and what to do with each.
_BEGINNINGS = (
    (b"\x89HDF", f"is HDF5, as Keras writes it, which is not PyTorch's; load it there, then {EXPORT}"),
    (b"\x80", f"is a pickle, which could run anything when it is read; {EXPORT}"),
)
_ENDINGS = {
    ".onnx": f"is ONNX, which is not read; from the module that it was made of, {EXPORT}",
    ".safetensors": f"holds weights alone; {EXPORT} --weights FILE",
}


def read_file(path: Path) -> nn.Module:
    """The module in a TorchScript file, on the CPU, in float32, in evaluation mode.

    Raises DataUnavailable, which says what the file is instead, and what to do.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise DataUnavailable(f"{path} is no regular file")
        if size > MAX_MODEL_BYTES:
            raise DataUnavailable(f"{path} has {size:,} bytes; at most {MAX_MODEL_BYTES:,} are served")
        data = path.read_bytes()
    except OSError as error:
        raise DataUnavailable(f"{path} cannot be read: {error.strerror}") from error
    if problem := _why_not(path, data):
        raise DataUnavailable(f"{path} {problem}")
    try:
        with torchscript_accepted():
            module: nn.Module = torch.jit.load(io.BytesIO(data), map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise DataUnavailable(f"{path} cannot be loaded: {first_line(error)}") from error
    if any(parameter.dtype != torch.float32 for parameter in module.parameters()):
        module = module.float()
    for parameter in module.parameters():  # a script has no `requires_grad_` of its own
        parameter.requires_grad_(False)
    return module.eval()


def _why_not(path: Path, data: bytes) -> str | None:
    if path.suffix.lower() in _ENDINGS:
        return _ENDINGS[path.suffix.lower()]
    for beginning, problem in _BEGINNINGS:
        if data.startswith(beginning):
            return problem
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return f"is no TorchScript file; {EXPORT}"
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return None
    if "data.pkl" in inner:
        return (
            "is a pickled module, or a state dict (torch.save), which is never unpickled here;"
            f" {EXPORT}, with --weights FILE for a state dict"
        )
    if any("serialized_exported_program" in n or "archive_format" in n for n in names):
        return f"is of torch.export, which is not read yet; {EXPORT}"
    return f"is a zip, and no TorchScript file; {EXPORT}"


def module_named(name: str) -> nn.Module:
    """What `package.module:callable` makes. Raises DataUnavailable."""
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise DataUnavailable(f"{name!r:.80} is not MODULE:CALLABLE, such as my_models:make_net")
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
    try:
        make: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            make = getattr(make, part)
    except (ImportError, AttributeError) as error:
        raise DataUnavailable(f"{name:.80} cannot be imported: {error}") from error
    if isinstance(make, nn.Module):
        return make.eval()
    if not callable(make):
        raise DataUnavailable(f"{name:.80} is no callable that makes a module")
    made = make()
    if not isinstance(made, nn.Module):
        raise DataUnavailable(f"{name:.80} makes a {type(made).__name__}, not a torch.nn.Module")
    return made.eval()


def with_weights(module: nn.Module, path: Path) -> nn.Module:
    """The module with the weights of a state dict (torch.save); nothing else is unpickled.

    Raises DataUnavailable.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        module.load_state_dict(state)
    except OSError as error:
        raise DataUnavailable(f"{path} cannot be read: {error.strerror}") from error
    except (RuntimeError, ValueError, TypeError, AttributeError, EOFError, KeyError) as error:
        raise DataUnavailable(f"{path} is no state dict of it: {first_line(error)}") from error
    return module


def scripted(module: nn.Module, example: Tensor | None, tell: Callable[[str], object]) -> nn.Module:
    """As TorchScript: its code where that can be, else what it does to an `example`.

    Raises DataUnavailable.
    """
    try:
        with torchscript_accepted():
            return torch.jit.script(module)
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        why = first_line(error)
    if example is None:
        raise DataUnavailable(f"it cannot be scripted ({why}); give --size or --columns to trace it")
    tell(f"it cannot be scripted ({why}): traced instead, which keeps one way through its code")
    try:
        with torchscript_accepted(), torch.inference_mode():
            traced: nn.Module = torch.jit.trace(module, example)
    except (RuntimeError, ValueError, TypeError) as error:
        raise DataUnavailable(f"it cannot be traced either: {first_line(error)}") from error
    return traced
