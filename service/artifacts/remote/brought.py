"""The versions that are in the cache: what their objects were, and which go where there is no room."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from service.artifacts.files import write_durably
from service.artifacts.manifest import MODEL_FILES, ArtifactError
from service.artifacts.pointers import CURRENT_FILE, LABELS
from service.artifacts.remote.blobs import Blobs
from service.artifacts.store import ArtifactStore

Version = tuple[str, int]


class Kept(NamedTuple):
    """Versions of all models: those that stay whatever comes, and those that go last of all."""

    stay: frozenset[Version]
    last: frozenset[Version] = frozenset()


class Brought:
    """Whoever writes holds the lock of the cache."""

    def __init__(self, notes: Path, store: ArtifactStore, blobs: Blobs) -> None:
        """`notes`: a folder with a file for each version, which holds what its objects were."""
        self._notes = notes
        self._store = store
        self._blobs = blobs

    def is_as(self, name: str, version: int, seen: bytes) -> bool:
        """Whether its objects are what they were when it was brought."""
        note = self._note(name, version)
        return note.is_file() and note.read_bytes() == seen

    def want(self, name: str, version: int) -> None:
        """Have it go later than what was wanted before."""
        os.utime(self._note(name, version))

    def note(self, name: str, version: int, seen: bytes) -> None:
        note = self._note(name, version)
        note.parent.mkdir(parents=True, exist_ok=True)
        write_durably(note, seen)

    def make_room(self, where: str, size: int, sha256: str, kept: Kept) -> None:
        """Let go of what was wanted longest ago: as much as is needed, or nothing if that is too little.

        Raises ArtifactError, or OSError.
        """
        self._blobs.sweep()
        lacking = self._blobs.lacks(size, sha256)
        going, freed = dict[Version, Path](), 0
        for version in self._by_age(kept.last):
            if freed >= lacking:
                break
            if version not in kept.stay and not self._is_named(*version):
                going[version] = self._store.folder(*version)
                freed = self._blobs.freed_by(_archives(going.values()))
        if freed < lacking:
            raise ArtifactError(
                f"{where} is not brought: the cache of archives has no room for its {size} bytes"
            )
        for version, folder in going.items():
            shutil.rmtree(folder, ignore_errors=True)
            self._note(*version).unlink()
        self._blobs.sweep()

    def _by_age(self, last: frozenset[Version]) -> list[Version]:
        notes = sorted(self._notes.glob("*/*"), key=lambda note: note.stat().st_mtime)
        return sorted(((note.parent.name, int(note.name)) for note in notes), key=last.__contains__)

    def _is_named(self, name: str, version: int) -> bool:
        """Whether it is served, as far as is known here."""
        for pointer in (*LABELS, CURRENT_FILE):
            try:
                if self._store.pointed(name, pointer) == version:
                    return True
            except ArtifactError:
                continue
        return False

    def _note(self, name: str, version: int) -> Path:
        return self._notes / name / str(version)


def _archives(folders: Iterable[Path]) -> Counter[int]:
    """How many of them are links to an archive, by its inode."""
    paths = (folder / file for folder in folders for file in MODEL_FILES.values())
    return Counter(path.stat().st_ino for path in paths if path.is_file())
