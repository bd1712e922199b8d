"""A folder that holds what is wanted of a store of objects, laid out as a store of its own.

    <cache>/<digest of the URL>/store/      read by every worker, as any folder of models
                                blobs/      archives by their SHA-256
                                seen/       what each version's objects were when they were brought
                                looks/      as old as the last look
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
from typing import NamedTuple

from service.artifacts.files import sync_directory
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
from service.artifacts.remote.brought import Brought, Kept
from service.artifacts.remote.last_look import LastLook
from service.artifacts.remote.mirrored import MirroredStore
from service.artifacts.remote.objects import NoObject, Objects, Seen, StoreUnreachable
from service.artifacts.remote.version_files import bring_further, bring_manifest, not_whole, replace_files
from service.artifacts.store import MAX_ENTRIES
from service.artifacts.version_folder import MAX_MODEL_BYTES, read_manifest, read_model
from service.option_types import CACHE_BYTES

Failures = dict[str, str]  # why something could not be brought, by its path: a pointer, or a version


class _Found(NamedTuple):
    """Of one model: what its pointers name, if they are there, and the newest versions beside that."""

    name: str
    written: str  # another whenever `current` is
    pointers: dict[str, int | None]
    beside: list[int]


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
        self.store = MirroredStore(self.folder / "store")
        self._max_model_bytes = max_model_bytes
        self._intact: set[Path] = set()
        self._blobs = Blobs(self.folder / "blobs", at_most)
        self._brought = Brought(self.folder / "seen", self.store, self._blobs)

    def follow(self, keep: int = 1, only: Collection[str] = (), every_s: float = 0.0) -> Failures | None:
        """Bring what is live, labelled or among the newest `keep` versions, and name it so here too.

        Returns why some of it could not be brought; None: another process does it, or did within `every_s`.
        Raises StoreUnreachable, or OSError where the cache cannot be written.
        """
        last = LastLook(self.folder / "looks", keep, only)
        with self._locked(wait=False) as mine:
            if not mine or last.was_within(every_s):
                return None
            failures = self._follow(keep, only)
            last.note()
            return failures

    def bring(self, name: str, version: int) -> Path:
        """The folder of a version, as it is in the store now.

        Raises ArtifactError where it is not published whole or does not fit, and OSError.
        """
        with self._locked(wait=True):
            return self._bring(name, version, Kept(frozenset({(name, version)})))

    def _follow(self, keep: int, only: Collection[str]) -> Failures:
        names = [name for name in self.objects.folders() if is_name(name)][:MAX_ENTRIES]
        if not names:
            raise StoreUnreachable(f"{self.objects.url} is empty, or no store of models")
        self.store.root.mkdir(parents=True, exist_ok=True)
        failures = Failures()
        # What is here may not be listed yet: whether it is gone, its pointers say.
        found = [
            self._found(name, keep, failures)
            for name in sorted({*names, *self.store.names()})
            if not only or name in only
        ]
        self._bring_all(found, failures)
        return failures

    def _found(self, name: str, keep: int, failures: Failures) -> _Found:
        pointers, beside = dict[str, int | None](), list[int]()
        try:  # before it is read: what is written in between is seen by the next look
            written = self.objects.written(f"{name}/{CURRENT_FILE}")
        except NoObject:  # it is no model yet, or no longer
            return _Found(name, "", {CURRENT_FILE: None}, beside)
        for pointer in (CURRENT_FILE, *LABELS):
            content = self.objects.read_if_there(f"{name}/{pointer}", MAX_POINTER_BYTES)
            if content is None:
                pointers[pointer] = None
            else:
                with _noted(failures, f"{name}/{pointer}"):
                    pointers[pointer] = number_in(content, f"{name}/{pointer}")
        if keep > 1:
            newest = sorted((int(v) for v in self.objects.folders(name) if is_version(v)), reverse=True)
            beside = [version for version in newest[:keep] if version not in pointers.values()]
        return _Found(name, written, pointers, beside)

    def _bring_all(self, found: list[_Found], failures: Failures) -> None:
        """What is named comes first, in the place of what is not; for the rest nothing wanted goes."""
        named = frozenset((each.name, v) for each in found for v in each.pointers.values() if v)
        beside = frozenset((each.name, v) for each in found for v in each.beside)
        named_first, all_wanted = Kept(named, last=beside), Kept(named | beside)
        for name, written, pointers, _ in found:
            folder = self.store.root / name
            for pointer, version in pointers.items():
                if version is None:
                    if (folder / pointer).exists():
                        unpoint(folder, pointer)
                    continue
                with _noted(failures, f"{name}/{pointer}"):
                    self._bring(name, version, named_first)
                    self._point(name, pointer, version, written)
            self.store.lack(name, failures.get(f"{name}/{CURRENT_FILE}", ""))
        for name, _, _, versions in found:
            for version in versions:
                with _noted(failures, f"{name}/{version}"):
                    self._bring_if_whole(name, version, all_wanted)

    def _bring_if_whole(self, name: str, version: int, kept: Kept) -> None:
        try:
            self._bring(name, version, kept)
        except ArtifactUnreadable as error:
            if not error.missing:
                raise

    def _bring(self, name: str, version: int, kept: Kept) -> Path:
        where, folder = f"{name}/{version}", self.store.folder(name, version)
        found = self.objects.below(where)
        seen = json.dumps(sorted(found.items())).encode()
        if self._brought.is_as(name, version, seen) and self._is_intact(folder):
            self._brought.want(name, version)
            return folder
        staged = self._staged(name, version)
        try:
            self._fill(staged, where, found, kept)
            if folder.is_dir():
                replace_files(staged, folder)
            else:
                folder.parent.mkdir(exist_ok=True, parents=True)
                staged.rename(folder)
                sync_directory(folder.parent)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        self._brought.note(name, version, seen)
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

    def _fill(self, staged: Path, where: str, found: dict[str, Seen], kept: Kept) -> None:
        manifest = bring_manifest(self.objects, where, staged, self._max_model_bytes)
        self._brought.make_room(where, manifest.size_bytes, manifest.sha256, kept)
        bring_further(self.objects, where, found, staged)
        path = f"{where}/{manifest.model_file}"
        try:
            blob = self._blobs.bring(self.objects, path, manifest.size_bytes, manifest.sha256)
        except NoObject as error:
            raise not_whole(where, manifest.model_file) from error
        os.link(blob, staged / manifest.model_file)

    def _point(self, name: str, pointer: str, version: int, written: str) -> None:
        """Name it here too; `current` also where it was written again: whoever follows it tries again."""
        folder, same = self.store.root / name, self._pointed(name, pointer) == version
        if pointer == CURRENT_FILE and not (same and self.store.written(name) == written):
            self.store.lack(name, "")  # before it: what goes live now would be refused for what was
            point(folder, pointer, version)
            self.store.note_written(name, written)
        elif not same:
            point(folder, pointer, version)

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
def _noted(failures: Failures, what: str) -> Iterator[None]:
    """What cannot be had keeps nothing else from being followed."""
    try:
        yield
    except ArtifactError as error:
        failures[what] = str(error)
