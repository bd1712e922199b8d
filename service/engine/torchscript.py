"""The one door through which TorchScript archives are loaded.

What is in one is a program. TorchScript reaches no Python, but some operators reach files (torch's `save`
and `from_file`, torchvision's `write_file`), and a `__setstate__` is run while the archive is loaded: so
its code is read beforehand, by the reader that torch itself uses. This is no substitute for trusted keys:
a program may also compute for ever.
"""

import io
import re
from collections.abc import Iterator
from typing import Any

import torch

# Wherever such a word stands, as TorchScript lets `torch`, and what is in it, have other names.
FILE_OPERATORS = ("save", "from_file", "read_file", "write_file")
_WORD = re.compile(rb"\b(" + "|".join(FILE_OPERATORS).encode() + rb"|getattr)\b")

# As TorchScript writes it for names such as `layers.0`, of escapes only those of bytes beyond ASCII.
# Any other could spell a word in pieces.
_PLAIN_GETATTR = re.compile(rb'getattr\(\w+(?:\.\w+)*, "(?:[^"\\]|\\[23][0-7]{2})*"\)')

# The form that torch had before 1.2, whose code lies elsewhere.
FORMER_FORM = "model.json"

# What a model raises when it is run: `raise` and `assert` of TorchScript are no RuntimeError.
MODEL_FAULTS: tuple[type[Exception], type[Exception]] = (RuntimeError, torch.jit.Error)


def load_archive(
    archive: bytes, device: torch.device | str = "cpu", further: dict[str, bytes] | None = None
) -> Any:
    """The ScriptModule in an archive. Of its `further` files those that are named are read into the dict.

    Raises ValueError where its code might read or write files; RuntimeError, too, where it is no archive.
    """
    if problem := code_problem(archive):
        raise ValueError(problem)
    return torch.jit.load(io.BytesIO(archive), map_location=device, _extra_files=further)


def code_problem(archive: bytes) -> str | None:
    """Why the code in an archive is not to be run, or None. Raises RuntimeError where it is no archive."""
    records = torch._C.PyTorchFileReader(io.BytesIO(archive))
    names = [name.lower() for name in records.get_all_records()]
    if len(set(names)) < len(names):
        return "a record of it is there twice"
    if FORMER_FORM in names:
        return "it was written by a torch before 1.2"
    for name, code in code_of(archive):
        if word := _forbidden(code):
            return f"its code ({name}) has {word!r} in it, which may read or write files"
    return None


def code_of(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """What torch would run of an archive, by record. Raises RuntimeError where it is none."""
    records = torch._C.PyTorchFileReader(io.BytesIO(archive))
    for record in records.get_all_records():
        name = record.lower()  # torch's reader ignores case
        if name.startswith("code/") and name.endswith(".py"):
            yield record, records.get_record(record)


def _forbidden(code: bytes) -> str | None:
    for found in _WORD.finditer(code):
        if found[1] != b"getattr" or not _PLAIN_GETATTR.match(code, found.start()):
            return found[1].decode()
    return None
