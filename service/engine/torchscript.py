"""The one door through which TorchScript archives are loaded.

What is in one is a program. TorchScript reaches no Python, but some operators reach files (torch's `save`
and `from_file`, torchvision's `write_file`), and a `__setstate__` is run while the archive is loaded: so
its code is read beforehand. This is no substitute for trusted keys: a program may also compute for ever.
"""

import io
import re
import zipfile
from typing import Any

import torch

# Wherever such a name stands, because TorchScript lets `torch` have other ones; and `getattr` may spell it
# in escapes.
REACHES_FILES = re.compile(rb"\b(save|\w+_file)\b|getattr\s*\([^)]*\\")

MAX_CODE_BYTES = 64 * 2**20

# The form that torch had before 1.2, whose code lies elsewhere.
FORMER_FORM = "model.json"


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
    """Why the code in an archive is not to be run, or None."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as records:
            every = records.infolist()
            code = [record for record in every if record.filename.endswith(".py")]
            if len({record.filename for record in every}) < len(every):
                return "a record of it is there twice"
            if any(record.filename.endswith(f"/{FORMER_FORM}") for record in every):
                return "it was written by a torch before 1.2"
            if sum(record.file_size for record in code) > MAX_CODE_BYTES:
                return f"its code has more than {MAX_CODE_BYTES:,} bytes"
            for record in code:
                if found := REACHES_FILES.search(records.read(record)):
                    name = (found[1] or b"getattr").decode()
                    return f"its code uses {name!r} ({record.filename}), which may read or write files"
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        return f"it is no zip archive that can be read: {error}"
    return None
