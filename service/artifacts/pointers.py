"""The files beside the versions of a model that name one of them: `current`, which is live, and labels."""

import os
import re
from pathlib import Path

from service.artifacts.files import Unreadable, read_below, replace_durably, sync_directory
from service.artifacts.manifest import ArtifactError, ArtifactUnreadable, printable
from service.option_types import NAME

CURRENT_FILE = "current"
STABLE, CANARY = LABELS = ("stable", "canary")

RESERVED = ("stats",)  # whose address under /v2/models has another meaning

MAX_POINTER_BYTES = 64

is_name = re.compile(NAME).fullmatch
is_version = re.compile(r"[1-9][0-9]{0,8}").fullmatch


def pointed(root: Path, name: str, pointer: str) -> int:
    """The version that a pointer names. Raises ArtifactError where there is none, or it is no number."""
    check_name(name)
    try:
        content = read_below(root, name, pointer, at_most=MAX_POINTER_BYTES)
    except Unreadable as error:
        why = str(error)
        if error.missing:
            why = unpointed(name, pointer)
        raise ArtifactUnreadable(why, missing=error.missing) from error
    return number_in(content, f"{name}/{pointer}")


def check_name(name: str) -> None:
    """Raises ArtifactError."""
    if not is_name(name):
        raise ArtifactError(f"{printable(name)!r} is no name of a model")


def unpointed(name: str, pointer: str) -> str:
    """What is said where there is no pointer."""
    return f"no version of {name!r} is {'live' if pointer == CURRENT_FILE else pointer}"


def number_in(content: bytes, where: str) -> int:
    """The version that a pointer with this content names. Raises ArtifactError."""
    version = content.decode("latin-1").strip(" \t\r\n")
    if not is_version(version):
        raise ArtifactError(f"{where} must hold a version number and nothing else")
    return int(version)


def point(folder: Path, pointer: str, version: int) -> None:
    """Have a pointer in a model's folder name another version, atomically. Raises OSError."""
    aside = folder / f".{pointer}-{os.getpid()}"
    replace_durably(folder / pointer, f"{version}\n".encode("ascii"), aside)


def unpoint(folder: Path, pointer: str) -> None:
    """Take a label away, if there is one. Raises OSError."""
    (folder / pointer).unlink(missing_ok=True)
    sync_directory(folder)
