"""A store of objects as commands and publishers use it: read through a mirror, written without a rename.

A version's number is claimed first, by an object that only one publisher can create. Its files follow, and
its manifest last, before which nobody takes it for a version. A publisher that is killed leaves a number
that is never used; what names a version is written only over what was read.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.artifacts.manifest import (
    MANIFEST_FILE,
    SIGNATURE_FILE,
    ArtifactError,
    ArtifactUnreadable,
    Manifest,
)
from service.artifacts.pointers import (
    MAX_POINTER_BYTES,
    check_name,
    is_name,
    is_version,
    number_in,
    unpointed,
)
from service.artifacts.remote.mirror import Mirror
from service.artifacts.remote.objects import LostRace, NoObject, Objects, Seen
from service.artifacts.remote.version_files import not_whole
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import MAX_MANIFEST_BYTES, MAX_MODEL_BYTES, parse_manifest
from service.errors import outcome
from service.settings import Settings, SettingsUnusable, read_settings

_CLAIMS = ".claims"  # beside the versions: one for each number that is given away
_TOKEN_BYTES = 16


class RemoteStore(ArtifactStore):
    """Every method raises StoreUnreachable, an OSError, where the store does not answer."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__(mirror.store.root)
        self._mirror = mirror
        self._objects = mirror.objects
        self._read: dict[str, Seen] = {}  # of what names versions: what is written goes by what was read

    @property
    def address(self) -> str:
        return self._objects.url

    def folder(self, name: str, version: int) -> Path:
        """Brought here. Raises ArtifactError where there is no such version."""
        return self._mirror.bring(name, version)

    def names(self) -> list[str]:
        return sorted(filter(is_name, self._objects.folders()))

    def versions(self, name: str) -> list[int]:
        """Also those that are not published whole, and show no manifest."""
        if not is_name(name):
            return []
        return sorted(int(version) for version in self._objects.folders(name) if is_version(version))

    def next_version(self, name: str) -> int:
        claimed = (int(claim) for claim in self._objects.files(f"{name}/{_CLAIMS}") if is_version(claim))
        return max((*self.versions(name), *claimed), default=0) + 1

    def manifest(self, name: str, version: int) -> Manifest:
        where = f"{name}/{version}"
        try:
            document = self._objects.read(f"{where}/{MANIFEST_FILE}", MAX_MANIFEST_BYTES)
        except NoObject as error:
            raise not_whole(where, MANIFEST_FILE) from error
        return parse_manifest(document, where)

    def pointed(self, name: str, pointer: str) -> int:
        path = f"{name}/{pointer}"
        check_name(name)
        try:
            seen = self._objects.seen(path)
            content = self._objects.read(path, MAX_POINTER_BYTES) if seen.size else b""
        except NoObject as error:
            self._read.pop(path, None)
            raise ArtifactUnreadable(unpointed(name, pointer), missing=True) from error
        self._read[path] = seen
        return number_in(content, path)

    def label(self, name: str, version: int, label: str) -> None:
        """Raises LostRace where it was written since it was last read here."""
        self.manifest(name, version)
        path, content = f"{name}/{label}", f"{version}\n".encode("ascii")
        if path not in self._read:
            with suppress(ArtifactError):
                self.pointed(name, label)
        seen = self._read.pop(path, None)
        try:
            if seen:
                self._objects.replace(path, content, seen)
            else:
                self._objects.create(path, content)
        except LostRace as error:
            raise LostRace(f"{path} was written by another meanwhile; it was not overwritten") from error

    def unlabel(self, name: str, label: str) -> None:
        self._read.pop(f"{name}/{label}", None)
        self._objects.remove(f"{name}/{label}")

    @contextmanager
    def publishing(self, name: str) -> Iterator[Path]:
        """Hold the lock among this machine's publishers. Raises at once where the store does not answer."""
        self.versions(name)
        with super().publishing(name) as folder:
            yield folder

    def place(self, staged: Path, name: str, version: int) -> None:
        """Raises LostRace where another publisher has that number."""
        claim, written = f"{name}/{_CLAIMS}/{version}", list[str]()
        paths = [path for path in sorted(staged.rglob("*")) if path.is_file()]
        last = (SIGNATURE_FILE, MANIFEST_FILE)
        paths.sort(key=lambda path: last.index(path.name) + 1 if path.name in last else 0)
        try:
            self._objects.create(claim, secrets.token_hex(_TOKEN_BYTES).encode())
            self._objects.check_conditions(claim)
            for path in paths:
                where = f"{name}/{version}/{path.relative_to(staged).as_posix()}"
                self._objects.create(where, path.read_bytes())
                written.append(where)
        except OSError as error:
            if f"{name}/{version}/{MANIFEST_FILE}" not in written:
                for where in written:
                    outcome(self._objects.remove, where)
            if isinstance(error, LostRace):
                why = f"{name}/{version} is another publisher's meanwhile; nothing of it was overwritten"
                raise LostRace(why) from error
            raise

    def sign(self, name: str, version: int, signature: bytes) -> None:
        path = f"{name}/{version}/{SIGNATURE_FILE}"
        seen = outcome(self._objects.seen, path)
        if isinstance(seen, Seen):
            self._objects.replace(path, signature, seen)
        elif isinstance(seen, NoObject):
            self._objects.create(path, signature)
        else:
            raise seen


def opened(
    place: Path | str, cache: Path, cache_bytes: int, max_model_bytes: int = MAX_MODEL_BYTES
) -> ArtifactStore:
    """The store in a folder, or at a URL."""
    if isinstance(place, Path):
        return ArtifactStore(place)
    return RemoteStore(Mirror(Objects(place), cache, cache_bytes, max_model_bytes))


def configured(place: Path | str) -> ArtifactStore:
    """The store at a place, the rest being as the environment says. Raises ValueError where it is wrong."""
    try:
        return store_of(read_settings(artifacts=place))
    except SettingsUnusable as error:
        raise ValueError(str(error)) from error


def store_of(settings: Settings) -> ArtifactStore:
    """The store that settings name."""
    cache, cache_bytes = settings.artifacts_cache, settings.artifacts_cache_bytes
    return opened(settings.artifacts, cache, cache_bytes, settings.max_model_bytes)
