#!/usr/bin/env bash
# torch 2.15.0: what a TorchScript module raises, as `except` sees it.
#
# Guess: what the module raises in Python, or at least RuntimeError, as all that fails in PyTorch's operators is.
# Seen: `raise RuntimeError`, `raise ValueError` and `assert` in a scripted module arrive as torch.jit.Error, which derives from
# Exception alone: `except RuntimeError` lets it pass. A dict without the key, a list without the place and a division of
# whole numbers by 0, which in Python are KeyError, IndexError and ZeroDivisionError, are RuntimeError there.
# Why it matters: a server or a training that catches RuntimeError around a module does not catch what the module itself refuses,
# and scripting a module changes which `except` hears it. Takes 5 GB on disk: PyTorch comes with CUDA.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check torch==2.15.0 numpy==2.4.6 || exit 2
cat >"$folder/refusing.py" <<'PYTHON'
import sys

import torch
from torch import Tensor


def raises(x: Tensor) -> Tensor:
    if bool(x.sum() > 0):
        raise RuntimeError("refused")
    return x


def raises_another(x: Tensor) -> Tensor:
    if bool(x.sum() > 0):
        raise ValueError("refused")
    return x


def asserts(x: Tensor) -> Tensor:
    assert bool(x.sum() < 0)
    return x


def has_no_such_key(x: Tensor) -> Tensor:
    return {"a": x}["b"]


def has_no_such_place(x: Tensor) -> Tensor:
    return [x][int(x.sum())]


def divides(x: Tensor) -> Tensor:
    return x + 1 // int(x.sum() - 2)


def reshapes(x: Tensor) -> Tensor:
    return x.reshape(3)


def raised_by(function) -> type:
    try:
        function(torch.ones(2))
    except Exception as error:
        return type(error)


seen = {}
for function in (raises, raises_another, asserts, has_no_such_key, has_no_such_place, divides, reshapes):
    eager, scripted = raised_by(function), raised_by(torch.jit.script(function))
    seen[function.__name__] = scripted
    print(f"{function.__name__:18} {eager.__name__:18} scripted: {scripted.__module__}.{scripted.__qualname__}")
print("torch.jit.Error derives from", torch.jit.Error.__bases__)
own = {seen[name] for name in ("raises", "raises_another", "asserts")}
others = {seen[name] for name in ("has_no_such_key", "has_no_such_place", "divides", "reshapes")}
sys.exit(0 if (own, others, torch.jit.Error.__bases__) == ({torch.jit.Error}, {RuntimeError}, (Exception,)) else 1)
PYTHON
"$folder/venv/bin/python" -W ignore "$folder/refusing.py"
