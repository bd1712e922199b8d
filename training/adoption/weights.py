"""Weights that a user has kept, put into a module. What is pickled is never unpickled."""

import pickle
from collections.abc import Collection, Iterator
from pathlib import Path

import torch
from torch import nn

from service.artifacts.manifest import printable
from training.adoption.file_kinds import ENDINGS, is_torchscript
from training.adoption.torchscript_file import words
from training.data import DataUnavailable

# What a checkpoint calls the weights that it was written for, where it has others too, such as an average.
KNOWN = ("state_dict", "model_state_dict", "model")
MAX_DEPTH = 8


def with_weights(module: nn.Module, path: Path) -> nn.Module:
    """The module with the weights of a state dict (torch.save); nothing else is unpickled.

    It may lie in a checkpoint, and its names have a prefix, as nn.DataParallel and torch.compile give them.
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
        raise DataUnavailable(f"--weights {path} is no state dict: {words(error)}") from error
    if not isinstance(state, dict):
        raise DataUnavailable(
            f"--weights {path} holds a {type(state).__name__}, not tensors by their names"
        )
    try:
        module.load_state_dict(_of_module(dict(_leaves(state)), module.state_dict().keys(), path))
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        why = printable(lines[1] if len(lines) > 1 else lines[0])
        raise DataUnavailable(f"--weights {path} is of another module: {why}") from error
    return module


def _leaves(saved: dict[object, object], depth: int = 0) -> Iterator[tuple[str, object]]:
    """All that is in it and in the dicts that it holds, by the keys that lead there, with dots between."""
    for key, value in saved.items():
        if isinstance(value, dict) and depth < MAX_DEPTH:
            yield from ((f"{key}.{name}", leaf) for name, leaf in _leaves(value, depth + 1))
        else:
            yield str(key), value


def _of_module(leaves: dict[str, object], names: Collection[str], path: Path) -> dict[str, object]:
    """What there is by just the `names` of a module, behind one prefix; or what comes nearest to it.

    Raises DataUnavailable where it is there several times.
    """
    first = next(iter(names), "")
    prefixes = {name.removesuffix(first) for name in leaves if f".{name}".endswith(f".{first}")}
    behind = {
        prefix: {
            name.removeprefix(prefix): leaf for name, leaf in leaves.items() if name.startswith(prefix)
        }
        for prefix in sorted(prefixes)
    }
    fitting = [prefix for prefix, state in behind.items() if state.keys() == set(names)]
    known = [prefix for prefix in fitting if prefix.partition(".")[0] in KNOWN] or fitting
    if len(known) > 1:
        several = ", ".join(prefix.rstrip(".") for prefix in known)
        raise DataUnavailable(f"--weights {path} holds weights that fit more than once: {several:.200}")
    if known:
        return behind[known[0]]
    return max(behind.values(), key=lambda state: len(state.keys() & set(names)), default=leaves)
