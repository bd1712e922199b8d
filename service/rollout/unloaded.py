"""What workers share to agree on what is loaded: a folder with the names of what is not, and sockets."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

UNLOADED = "unloaded"  # a folder with an empty file named as each model
SOCKETS = "*.sock"


def socket_of(folder: Path, pid: int) -> Path:
    """Of one worker."""
    return folder / SOCKETS.replace("*", str(pid))


class Unloaded:
    """The models that requests have unloaded.

    Nothing is locked: to write down, to take back and to read a name is one step each.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = folder / UNLOADED

    def __contains__(self, name: str) -> bool:
        return (self._files / name).exists()

    def __iter__(self) -> Iterator[str]:
        """Raises OSError: without a descriptor to look with, nothing is known."""
        with suppress(FileNotFoundError):  # none was ever unloaded
            yield from os.listdir(self._files)

    def add(self, name: str) -> None:
        """`name` is that of a model that is known, and so of a folder. Raises OSError."""
        self._files.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._files / name).touch()

    def discard(self, name: str) -> None:
        """Raises OSError."""
        (self._files / name).unlink(missing_ok=True)
