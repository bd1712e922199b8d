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
from service.artifacts.manifest import (
    MANIFEST_FILE,
    MODEL_FILES,
    SIGNATURE_FILE,
    ArtifactError,
    ArtifactUnreadable,
)
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
from service.artifacts.store import MAX_ENTRIES, ArtifactStore
from service.artifacts.version_folder import MAX_MANIFEST_BYTES, MAX_MODEL_BYTES, read_manifest, read_model
from service.places import CACHE_BYTES

# What lies beside the archive of one version: pictures of its report, samples.
MAX_FILES, MAX_FILES_BYTES = 256, 64 * 1024 * 1024


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
            failures = []
            # What is here may not be listed yet: whether it is gone, its pointers say.
            for name in sorted({*names, *self.store.names()}):
                if not only or name in only:
                    try:
                        self._follow(name, keep)
                    except ArtifactError as error:
                        failures.append(str(error))
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
        named = {
            pointer: number_in(content, f"{name}/{pointer}")
            for pointer, content in written.items()
            if content is not None
        }
        newest: list[int] = []
        if keep > 1:
            newest = sorted((int(v) for v in objects.folders(name) if is_version(v)), reverse=True)
            newest = newest[:keep]
        wanted = {*named.values(), *newest, *self._named(name)}
        folder.mkdir(parents=True, exist_ok=True)
        for version in newest:
            if version not in named.values():
                self._bring_if_whole(name, version, wanted)
        for pointer in (*LABELS, CURRENT_FILE):
            if pointer in named:
                self._bring(name, named[pointer], wanted)
                if self._pointed(name, pointer) != named[pointer]:
                    point(folder, pointer, named[pointer])
            elif (folder / pointer).exists():
                unpoint(folder, pointer)

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
                _replace_files(staged, folder)
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
        """Asked for by name: what is published may not be listed yet."""
        objects = self.objects
        try:
            document = objects.read(f"{where}/{MANIFEST_FILE}", MAX_MANIFEST_BYTES)
        except NoObject as error:
            raise not_whole(where, MANIFEST_FILE) from error
        write_durably(staged / MANIFEST_FILE, document)
        manifest = read_manifest(staged)
        if manifest.size_bytes > self._max_model_bytes:
            raise ArtifactError(
                f"{where}/{manifest.model_file} is said to have {manifest.size_bytes} bytes;"
                f" at most {self._max_model_bytes} are read"
            )
        if signature := objects.read_if_there(f"{where}/{SIGNATURE_FILE}", MAX_MANIFEST_BYTES):
            write_durably(staged / SIGNATURE_FILE, signature)
        further = {path: seen for path, seen in found.items() if _is_further(path)}
        size = sum(seen.size for seen in further.values())
        if len(further) > MAX_FILES or size > MAX_FILES_BYTES:
            raise ArtifactError(f"{where} has {len(further)} further files of {size} bytes: too much")
        for path, seen in further.items():
            (staged / path).parent.mkdir(exist_ok=True)
            content = objects.read(f"{where}/{path}", seen.size) if seen.size else b""
            write_durably(staged / path, content)
        self._make_room(where, manifest.size_bytes, manifest.sha256, wanted)
        file = manifest.model_file
        try:
            blob = self._blobs.bring(objects, f"{where}/{file}", manifest.size_bytes, manifest.sha256)
        except NoObject as error:
            raise not_whole(where, file) from error
        os.link(blob, staged / file)

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


def not_whole(where: str, file: str) -> ArtifactUnreadable:
    return ArtifactUnreadable(f"{where} has no {file}: it is not published whole", missing=True)


def _is_further(path: str) -> bool:
    """In the folder of the version, or in one in it: an object may be called whatever one likes."""
    parts = path.split("/")
    if parts[0] in (MANIFEST_FILE, SIGNATURE_FILE, *MODEL_FILES.values()) or len(parts) > 2:
        return False
    return all(part and not part.startswith(".") and part.isprintable() for part in parts)


def _replace_files(staged: Path, folder: Path) -> None:
    """Of a version that is read meanwhile: the archive first, its manifest after it."""
    paths = sorted(path for path in staged.rglob("*") if path.is_file())
    for path in sorted(paths, key=lambda path: path.name in (MANIFEST_FILE, SIGNATURE_FILE)):
        target = folder / path.relative_to(staged)
        target.parent.mkdir(exist_ok=True)
        path.replace(target)
    sync_directory(folder)
