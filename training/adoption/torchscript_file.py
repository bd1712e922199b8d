"""TorchScript files, read and made, and those of torch.export. What is pickled is never unpickled."""

import importlib
import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.jit.frontend import FrontendError

from service.artifacts.version_folder import largest
from service.engine.tensors import reason
from service.engine.torchscript import MODEL_FAULTS, load_archive
from service.engine.ways import torchscript_accepted
from service.errors import outcome
from training.adoption.exported_code import Code, code_of
from training.adoption.exported_file import ExportUnusable, read_exported
from training.adoption.exported_input import Row
from training.adoption.file_kinds import is_exported, why_not
from training.data import DataUnavailable
from training.publishing.archive import script


class Read(NamedTuple):
    """A module, and how large the rows are that it reads, where its file says so."""

    net: nn.Module
    row: Row | None = None


def read_file(path: Path, called: str) -> Read:
    """The module in a file of TorchScript or torch.export, on the CPU, in float32, in evaluation mode.

    Raises DataUnavailable, which says what the file, as it is `called`, is instead, and what to do.
    """
    at_most = largest()
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise DataUnavailable(f"{called} is no regular file")
        if size > at_most:
            raise DataUnavailable(
                f"{called} has {size:,} bytes; at most {at_most:,} are served (SERVICE_MAX_MODEL_BYTES)"
            )
        data = path.read_bytes()
    except OSError as error:
        raise DataUnavailable(f"{called} cannot be read: {error.strerror}") from error
    if path.suffix.lower() == ".pt2" or is_exported(data):
        try:
            code = code_of(read_exported(data, at_most))
            return Read(_for_inference(_compiled(code)), code.row)
        except ExportUnusable as error:
            raise DataUnavailable(f"{called} {error}") from error
    if problem := why_not(path, data):
        raise DataUnavailable(f"{called} {problem}")
    try:
        with torchscript_accepted():
            module: nn.Module = load_archive(data)
    except ValueError as error:
        raise DataUnavailable(f"{called} is not loaded: {error}") from error
    except MODEL_FAULTS as error:
        raise DataUnavailable(
            f"{called} cannot be loaded: {reason(error)}; write it with torch.jit.save before it is"
            " optimised"
        ) from error
    return Read(_for_inference(module))


def _compiled(code: Code) -> nn.Module:
    """Raises ExportUnusable."""

    class Program(nn.Module):
        """Of each call its own: TorchScript gives all modules of one class the same code."""

    module = Program()
    for name, tensor in code.tensors.items():
        module.register_buffer(name, tensor)
    try:
        with torchscript_accepted():
            script_module = torch.jit.script(module)
            script_module.define(code.source)
    except RuntimeError as error:
        raise ExportUnusable(f"cannot be written in TorchScript: {reason(error)}") from error
    return script_module


def _for_inference(module: nn.Module) -> nn.Module:
    if any(parameter.dtype != torch.float32 for parameter in module.parameters()):
        module = module.float()
    for parameter in module.parameters():  # a script has no `requires_grad_` of its own
        parameter.requires_grad_(False)
    return module.eval()


def module_named(name: str) -> nn.Module:
    """What `package.module:callable` makes. Raises DataUnavailable."""
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise DataUnavailable(f"{name!r:.80} is not MODULE:CALLABLE, such as my_models:make_net")
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
    make = outcome(_imported, module_name, attribute)
    if isinstance(make, Exception):
        raise DataUnavailable(f"{name:.80} cannot be imported: {words(make)}") from make
    if isinstance(make, nn.Module):
        return make.eval()
    if not callable(make):
        raise DataUnavailable(f"{name:.80} is no callable that makes a module")
    made: object = outcome(make)
    if isinstance(made, Exception):
        raise DataUnavailable(f"{name:.80} fails when it is called with nothing: {words(made)}") from made
    if not isinstance(made, nn.Module):
        raise DataUnavailable(f"{name:.80} makes a {type(made).__name__}, not a torch.nn.Module")
    return made.eval()


def _imported(module_name: str, attribute: str) -> object:
    return reduce(getattr, attribute.split("."), importlib.import_module(module_name))


def words(error: BaseException) -> str:
    return f"{type(error).__name__}: {reason(error)}"


def archive_of(
    module: nn.Module, example: Tensor | None, tell: Callable[[str], object], *, trace: bool = False
) -> bytes:
    """A TorchScript file: its code where that can be, else, or to `trace`, what it does to an `example`.

    Raises DataUnavailable.
    """
    module = module.cpu()
    if not trace:
        scripted = outcome(script, module)
        if isinstance(scripted, bytes):
            return scripted
        why = reason(ValueError(scripted.msg) if isinstance(scripted, FrontendError) else scripted)
        if example is None:
            raise DataUnavailable(f"it cannot be scripted ({why}); give --size or --columns to trace it")
        tell(f"it cannot be scripted ({why}): traced instead, which keeps one way through its code")
    if example is None:
        raise DataUnavailable("--trace needs an example: give --size or --columns")
    traced = outcome(_traced, module, example)
    if isinstance(traced, Exception):
        how = "" if trace else " either"
        raise DataUnavailable(f"it cannot be traced{how}: {reason(traced)}") from traced
    return traced


def _traced(module: nn.Module, example: Tensor) -> bytes:
    with torchscript_accepted(), torch.inference_mode():
        traced: nn.Module = torch.jit.trace(module, example)
    return script(traced)
