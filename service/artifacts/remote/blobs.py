"""Archives by their SHA-256, each once: a version has a link to one. They take bounded room."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from service.artifacts.manifest import ArtifactError
from service.artifacts.remote.objects import Objects


class Blobs:
    """Whoever writes holds the lock of the cache."""

    def __init__(self, folder: Path, at_most: int) -> None:
        self._folder = folder
        self._at_most = at_most
        self._verified: set[str] = set()

    def bring(self, objects: Objects, path: str, size: int, sha256: str) -> Path:
        """The file of these bytes, copied unless it is here. Raises ArtifactError, or OSError."""
        there = self._folder / sha256
        if sha256 in self._verified and there.exists():
            return there
        if not there.exists() or _sha256(there) != sha256:
            self._folder.mkdir(parents=True, exist_ok=True)
            aside = self._folder / f".{sha256}-{os.getpid()}"
            try:
                if objects.save(path, aside, size) != sha256:
                    raise ArtifactError(f"{path} does not have the SHA-256 of its manifest")
                aside.replace(there)
            finally:
                aside.unlink(missing_ok=True)
        self._verified.add(sha256)
        return there

    def lacks(self, size: int, sha256: str) -> int:
        """How many bytes are too many, were it brought: for what is allowed, or for the disk.

        Raises OSError.
        """
        if (self._folder / sha256).exists():
            return 0
        free = shutil.disk_usage(self._folder.parent).free
        return max(0, self._bytes() + size - self._at_most, size - free)

    def freed_by(self, links: Mapping[int, int]) -> int:
        """How many bytes go when these links do: so many to the archive with an inode."""
        found = [path.stat() for path in self._files()]
        return sum(each.st_size for each in found if each.st_nlink - 1 <= links.get(each.st_ino, 0))

    def sweep(self) -> None:
        """Take away what no version links to, and what a process left that was killed."""
        for path in self._files():
            if path.name.startswith(".") or path.stat().st_nlink == 1:
                path.unlink(missing_ok=True)

    def _bytes(self) -> int:
        return sum(path.stat().st_size for path in self._files())

    def _files(self) -> list[Path]:
        with suppress(FileNotFoundError):
            return list(self._folder.iterdir())
        return []


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
