"""TorchScript files, read and made, and those of torch.export. What is pickled is never unpickled."""

import importlib
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.jit.frontend import FrontendError

from service.artifacts.manifest import printable
from service.artifacts.version_folder import MAX_MODEL_BYTES
from service.engine.tensors import reason
from service.engine.torchscript import load_archive
from service.engine.ways import torchscript_accepted
from training.adoption.exported_code import Code, code_of
from training.adoption.exported_file import ExportUnusable, read_exported
from training.adoption.exported_input import Row
from training.adoption.file_kinds import ENDINGS, is_exported, why_not
from training.data import DataUnavailable
from training.publishing.archive import script

# What code that a user has may raise, when it is imported, run or compiled.
CODE_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


class Read(NamedTuple):
    """A module, and how large the rows are that it reads, where its file says so."""

    net: nn.Module
    row: Row | None = None


def read_file(path: Path, called: str) -> Read:
    """The module in a file of TorchScript or torch.export, on the CPU, in float32, in evaluation mode.

    Raises DataUnavailable, which says what the file, as it is `called`, is instead, and what to do.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise DataUnavailable(f"{called} is no regular file")
        if size > MAX_MODEL_BYTES:
            raise DataUnavailable(f"{called} has {size:,} bytes; at most {MAX_MODEL_BYTES:,} are served")
        data = path.read_bytes()
    except OSError as error:
        raise DataUnavailable(f"{called} cannot be read: {error.strerror}") from error
    if path.suffix.lower() == ".pt2" or is_exported(data):
        try:
            code = code_of(read_exported(data))
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
    except RuntimeError as error:
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
    try:
        make: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            make = getattr(make, part)
    except CODE_FAULTS as error:
        raise DataUnavailable(f"{name:.80} cannot be imported: {_words(error)}") from error
    if isinstance(make, nn.Module):
        return make.eval()
    if not callable(make):
        raise DataUnavailable(f"{name:.80} is no callable that makes a module")
    try:
        made: object = make()
    except CODE_FAULTS as error:
        raise DataUnavailable(
            f"{name:.80} fails when it is called with nothing: {_words(error)}"
        ) from error
    if not isinstance(made, nn.Module):
        raise DataUnavailable(f"{name:.80} makes a {type(made).__name__}, not a torch.nn.Module")
    return made.eval()


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {reason(error)}"


def with_weights(module: nn.Module, path: Path) -> nn.Module:
    """The module with the weights of a state dict (torch.save); nothing else is unpickled.

    Raises DataUnavailable.
    """
    if problem := ENDINGS.get(path.suffix.lower()):
        raise DataUnavailable(f"--weights {path} {problem}")
    try:
        if is_torchscript(path):
            raise DataUnavailable(f"--weights {path} is TorchScript, which `publish` takes as it is")
        state: object = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataUnavailable(f"--weights {path} cannot be read: {error.strerror}") from error
    except pickle.UnpicklingError as error:
        raise DataUnavailable(
            f"--weights {path} holds more than tensors, or is no file of torch.save, and is not unpickled;"
            " torch.save(net.state_dict(), FILE) makes one that is read"
        ) from error
    except (RuntimeError, ValueError, TypeError, AttributeError, EOFError, LookupError) as error:
        raise DataUnavailable(f"--weights {path} is no state dict: {reason(error)}") from error
    try:
        module.load_state_dict(_state_dict_in(state))
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        why = printable(lines[1] if len(lines) > 1 else lines[0])
        raise DataUnavailable(f"--weights {path} is of another module: {why}") from error
    return module


def is_torchscript(path: Path) -> bool:
    """Raises OSError."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.partition("/")[2] == "constants.pkl" for name in archive.namelist())


def _state_dict_in(saved: object) -> dict[str, Any]:
    """The state dict of a checkpoint, without the prefix of nn.DataParallel. Raises TypeError."""
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(saved, dict) and isinstance(saved.get(key), dict):
            saved = saved[key]
    if not isinstance(saved, dict) or not all(isinstance(name, str) for name in saved):
        raise TypeError(f"it holds a {type(saved).__name__}, not tensors by their names")
    if saved and all(name.startswith("module.") for name in saved):
        return {name.removeprefix("module."): value for name, value in saved.items()}
    return saved


def archive_of(
    module: nn.Module, example: Tensor | None, tell: Callable[[str], object], *, trace: bool = False
) -> bytes:
    """A TorchScript file: its code where that can be, else, or to `trace`, what it does to an `example`.

    Raises DataUnavailable.
    """
    module = module.cpu()
    if not trace:
        try:
            return script(module)
        except FrontendError as error:
            why = reason(ValueError(error.msg))
        except CODE_FAULTS as error:
            why = reason(error)
        if example is None:
            raise DataUnavailable(f"it cannot be scripted ({why}); give --size or --columns to trace it")
        tell(f"it cannot be scripted ({why}): traced instead, which keeps one way through its code")
    if example is None:
        raise DataUnavailable("--trace needs an example: give --size or --columns")
    try:
        with torchscript_accepted(), torch.inference_mode():
            traced: nn.Module = torch.jit.trace(module, example)
        return script(traced)
    except CODE_FAULTS as error:
        raise DataUnavailable(f"it cannot be traced{' either' * (not trace)}: {reason(error)}") from error
