"""A folder that holds what is wanted of a store of objects, laid out as a store of its own.

    <cache>/<digest of the URL>/store/      read by every worker, as any folder of models
                                blobs/      archives by their SHA-256
                                seen/       what each version's objects were when they were brought
                                lock        held by the process that writes

What is published is brought whole before it is named, so a reader finds nothing half there. Where the
store does not answer all stays as it is.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.artifacts.files import sync_directory, write_durably
from service.artifacts.lock import open_lock
from service.artifacts.manifest import ArtifactError, ArtifactUnreadable
from service.artifacts.pointers import (
    CURRENT_FILE,
    LABELS,
    MAX_POINTER_BYTES,
    is_name,
    is_version,
    number_in,
    point,
    unpoint,
)
from service.artifacts.remote.blobs import Blobs
from service.artifacts.remote.objects import NoObject, Objects, Seen, StoreUnreachable
from service.artifacts.remote.version_files import bring_documents, not_whole, replace_files
from service.artifacts.store import MAX_ENTRIES, ArtifactStore
from service.artifacts.version_folder import MAX_MODEL_BYTES, read_manifest, read_model
from service.option_types import CACHE_BYTES


class Mirror:
    """Safe in several processes, one of which writes at a time."""

    def __init__(
        self,
        objects: Objects,
        cache: Path,
        at_most: int = CACHE_BYTES,
        max_model_bytes: int = MAX_MODEL_BYTES,
    ) -> None:
        """`at_most`: bytes of archives that are kept."""
        self.objects = objects
        self.folder = cache.expanduser() / hashlib.sha256(objects.url.encode()).hexdigest()[:24]
        self.store = ArtifactStore(self.folder / "store")
        self._max_model_bytes = max_model_bytes
        self._intact: set[Path] = set()
        self._blobs = Blobs(self.folder / "blobs", at_most)

    def follow(self, keep: int = 1, only: Collection[str] = ()) -> list[str] | None:
        """Bring what is live, labelled or among the newest `keep` versions, and name it so here too.

        Returns why some of it could not be brought; None: another process is doing it.
        Raises StoreUnreachable, or OSError where the cache cannot be written.
        """
        with self._locked(wait=False) as mine:
            if not mine:
                return None
            names = [name for name in self.objects.folders() if is_name(name)][:MAX_ENTRIES]
            if not names:
                raise StoreUnreachable(f"{self.objects.url} is empty, or no store of models")
            self.store.root.mkdir(parents=True, exist_ok=True)
            failures = list[str]()
            # What is here may not be listed yet: whether it is gone, its pointers say.
            for name in sorted({*names, *self.store.names()}):
                if not only or name in only:
                    with _noted(failures):
                        self._follow(name, keep)
            return failures

    def bring(self, name: str, version: int) -> Path:
        """The folder of a version, as it is in the store now.

        Raises ArtifactError where it is not published whole or does not fit, and OSError.
        """
        with self._locked(wait=True):
            return self._bring(name, version, self._named(name) | {version})

    def _follow(self, name: str, keep: int) -> None:
        objects = self.objects
        written = {
            pointer: objects.read_if_there(f"{name}/{pointer}", MAX_POINTER_BYTES)
            for pointer in (*LABELS, CURRENT_FILE)
        }
        folder = self.store.root / name
        if written[CURRENT_FILE] is None:  # it is no model yet, or no longer
            if (folder / CURRENT_FILE).exists():
                unpoint(folder, CURRENT_FILE)
            return
        named, failures = dict[str, int](), list[str]()
        for pointer, content in written.items():
            if content is not None:
                with _noted(failures):
                    named[pointer] = number_in(content, f"{name}/{pointer}")
        newest: list[int] = []
        if keep > 1:
            newest = sorted((int(v) for v in objects.folders(name) if is_version(v)), reverse=True)
            newest = newest[:keep]
        wanted = {*named.values(), *newest, *self._named(name)}
        folder.mkdir(parents=True, exist_ok=True)
        for version in newest:
            if version not in named.values():
                with _noted(failures):
                    self._bring_if_whole(name, version, wanted)
        for pointer, content in written.items():
            if pointer in named:
                with _noted(failures):
                    self._bring(name, named[pointer], wanted)
                    if self._pointed(name, pointer) != named[pointer]:
                        point(folder, pointer, named[pointer])
            elif content is None and (folder / pointer).exists():
                unpoint(folder, pointer)
        if failures:
            raise ArtifactError("; ".join(failures))

    def _bring_if_whole(self, name: str, version: int, wanted: Collection[int]) -> None:
        try:
            self._bring(name, version, wanted)
        except ArtifactUnreadable as error:
            if not error.missing:
                raise

    def _bring(self, name: str, version: int, wanted: Collection[int]) -> Path:
        """`wanted`: the versions of this model that stay."""
        where, folder = f"{name}/{version}", self.store.folder(name, version)
        found = self.objects.below(where)
        note = self.folder / "seen" / name / str(version)
        seen = json.dumps(sorted(found.items())).encode()
        if note.is_file() and note.read_bytes() == seen and self._is_intact(folder):
            os.utime(note)
            return folder
        staged = self._staged(name, version)
        try:
            self._fill(staged, where, found, wanted)
            if folder.is_dir():
                replace_files(staged, folder)
            else:
                folder.parent.mkdir(exist_ok=True, parents=True)
                staged.rename(folder)
                sync_directory(folder.parent)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        note.parent.mkdir(parents=True, exist_ok=True)
        write_durably(note, seen)
        return folder

    def _is_intact(self, folder: Path) -> bool:
        """Whether the archive is what it was when it was brought; looked at once by each process."""
        if not folder.is_dir():
            return False
        if folder not in self._intact:
            try:
                read_model(folder, read_manifest(folder), self._max_model_bytes)
            except ArtifactError:
                return False
            self._intact.add(folder)
        return True

    def _fill(self, staged: Path, where: str, found: dict[str, Seen], wanted: Collection[int]) -> None:
        manifest = bring_documents(self.objects, where, found, staged, self._max_model_bytes)
        self._make_room(where, manifest.size_bytes, manifest.sha256, wanted)
        path = f"{where}/{manifest.model_file}"
        try:
            blob = self._blobs.bring(self.objects, path, manifest.size_bytes, manifest.sha256)
        except NoObject as error:
            raise not_whole(where, manifest.model_file) from error
        os.link(blob, staged / manifest.model_file)

    def _make_room(self, where: str, size: int, sha256: str, wanted: Collection[int]) -> None:
        """Let go of what was brought longest ago and nothing names."""
        self._blobs.sweep()
        notes = (self.folder / "seen").glob("*/*")
        for note in sorted(notes, key=lambda note: note.stat().st_mtime):
            if not self._blobs.lacks(size, sha256):
                return
            name, version = note.parent.name, int(note.name)
            if version in self._named(name) or (where.startswith(f"{name}/") and version in wanted):
                continue
            shutil.rmtree(self.store.folder(name, version), ignore_errors=True)
            note.unlink()
            self._blobs.sweep()
        if lacking := self._blobs.lacks(size, sha256):
            raise ArtifactError(
                f"{where} is not brought: the cache of archives lacks {lacking} bytes for it"
            )

    def _named(self, name: str) -> set[int]:
        return {v for pointer in (*LABELS, CURRENT_FILE) if (v := self._pointed(name, pointer))}

    def _pointed(self, name: str, pointer: str) -> int | None:
        try:
            return self.store.pointed(name, pointer)
        except ArtifactError:
            return None

    def _staged(self, name: str, version: int) -> Path:
        """We hold the lock: whatever else was begun was left by a process that was killed."""
        shutil.rmtree(self.folder / "incoming", ignore_errors=True)
        staged = self.folder / "incoming" / name / str(version)
        staged.mkdir(parents=True)
        return staged

    @contextmanager
    def _locked(self, wait: bool) -> Iterator[bool]:
        """Whether we have the lock. Whoever holds it and is killed frees it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = open_lock(self.folder / "lock")
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(lock)


@contextmanager
def _noted(failures: list[str]) -> Iterator[None]:
    """What cannot be had keeps nothing else from being followed."""
    try:
        yield
    except ArtifactError as error:
        failures.append(str(error))
