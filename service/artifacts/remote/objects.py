"""The objects below one URL, through fsspec: every call has a time limit, every answer a largest size.

Credentials, regions and endpoints are the backend's own affair: its environment variables, files and roles.
"""

import errno
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from service.artifacts.files import naming
from service.artifacts.manifest import printable
from service.artifacts.remote.conditions import OVER_WHAT_WAS_SEEN
from service.errors import outcome

CALL_S = 20.0
LEAST_BYTES_PER_S = 1_000_000  # what is large has so much more time

_CHUNK_BYTES = 8 * 1024 * 1024
_NO_STORE = ("NoSuchBucket", "ContainerNotFound")  # which backends take for a folder with nothing in it
_LOST = ("PreconditionFailed", "ConditionalRequestConflict", "ConditionNotMet", "412", "409")

_WRITTEN = ("ETag", "LastModified", "generation", "etag", "last_modified", "created")


class StoreUnreachable(OSError):
    """The store does not answer, or lets nobody read or write: for now, perhaps."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EIO, why)


class NoObject(StoreUnreachable):
    """The store answers, and there is no such object."""


class LostRace(OSError):
    """Another has written what was to be written; nothing of it was overwritten."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EEXIST, why)


class Seen(NamedTuple):
    """An object at one moment: another has another tag."""

    size: int
    tag: str


class Objects:
    """Paths are relative to the URL."""

    def __init__(self, url: str, filesystem: Any = None) -> None:
        """`filesystem`: of fsspec, instead of the one that the URL names."""
        self.url = url
        self.scheme, _, self._root = url.partition("://")
        self._given = filesystem

    def folders(self, folder: str = "") -> Iterator[str]:
        """The names of the folders in one."""
        return (_name(entry) for entry in self._listed(folder) if entry.get("type") == "directory")

    def files(self, folder: str = "") -> Iterator[str]:
        """The names of the objects in one, and in none below it."""
        return (_name(entry) for entry in self._listed(folder) if entry.get("type") == "file")

    def below(self, folder: str) -> dict[str, Seen]:
        """All objects below a folder, by path from there. A store may not list yet what is in it."""
        where = self._path(folder)
        found: Mapping[str, Mapping[str, Any]] = self._call("find", where, detail=True)
        # Each backend writes its bucket in its own way.
        return {
            path[path.index(f"{where}/") + len(where) + 1 :]: _seen(entry)
            for path, entry in found.items()
            if f"{where}/" in path
        }

    def read(self, path: str, at_most: int) -> bytes:
        """Raises NoObject, or StoreUnreachable also where it has more bytes."""
        content: bytes = self._call("cat_file", self._path(path), start=0, end=at_most + 1)
        if len(content) > at_most:
            raise StoreUnreachable(f"{path} has more than {at_most} bytes")
        return content

    def read_if_there(self, path: str, at_most: int) -> bytes | None:
        try:
            return self.read(path, at_most)
        except NoObject:
            return None

    def save(self, path: str, to: Path, size: int) -> str:
        """Copy `size` bytes of it to a file, piece by piece. Returns their SHA-256. Raises OSError."""
        digest = hashlib.sha256()
        with to.open("wb") as file:
            for start in range(0, size, _CHUNK_BYTES):
                end = min(size, start + _CHUNK_BYTES)
                piece: bytes = self._call("cat_file", self._path(path), start=start, end=end)
                digest.update(piece)
                with naming(to):
                    file.write(piece)
                    file.flush()
        return digest.hexdigest()

    def seen(self, path: str) -> Seen:
        """Raises NoObject."""
        return _seen(self._call("info", self._path(path)))

    def written(self, path: str) -> str:
        """Another whenever it is written, be it with the same bytes, whose ETag may be the same.

        Raises NoObject.
        """
        entry: Mapping[str, Any] = self._call("info", self._path(path))
        return " ".join(str(entry[key]) for key in _WRITTEN if key in entry)

    def create(self, path: str, content: bytes) -> None:
        """Write what is not there yet. Raises LostRace where there is something else.

        Something else, since a backend tries again by itself: it may meet what it wrote.
        """
        try:
            self._write(path, content, mode="create")
        except LostRace:
            if self.seen(path).size != len(content) or self.read(path, len(content)) != content:
                raise

    def replace(self, path: str, content: bytes, seen: Seen) -> None:
        """Write over what was `seen`. Raises LostRace where it is another by now."""
        if self.scheme not in OVER_WHAT_WAS_SEEN:
            raise StoreUnreachable(
                f"{path} is there, and {self.scheme}:// has no way to replace it only if nobody else did:"
                " nothing is overwritten"
            )
        try:
            over = OVER_WHAT_WAS_SEEN[self.scheme]
            method, arguments, options = over(self._filesystem, self._path(path), content, seen.tag)
            self._call(method, *arguments, **options)
        except (LostRace, NoObject) as error:
            if self.read_if_there(path, max(len(content), seen.size)) != content:
                raise LostRace("another wrote it meanwhile") from error

    def check_conditions(self, path: str) -> None:
        """Find out, by an object that is there, whether conditions are kept. Raises StoreUnreachable.

        There are servers that write all the same.
        """
        other = secrets.token_bytes(8)
        try:
            self._write(path, other, mode="create")
        except LostRace:
            return
        raise StoreUnreachable(
            f"{self.url} overwrites what is there although it was asked not to: it has no conditional"
            " writes, and is not published into"
        )

    def remove(self, path: str) -> None:
        """Raises NoObject."""
        self._call("rm_file", self._path(path))

    def _write(self, path: str, content: bytes, **conditions: str) -> None:
        within_s = CALL_S + len(content) / LEAST_BYTES_PER_S
        self._call("pipe_file", self._path(path), content, within_s=within_s, **conditions)

    def _listed(self, folder: str) -> list[Mapping[str, Any]]:
        try:
            entries: list[Mapping[str, Any]] = self._call("ls", self._path(folder), detail=True)
        except NoObject:
            return []
        return entries

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/")

    def _call(self, method: str, *arguments: object, within_s: float = CALL_S, **options: object) -> Any:
        answer = outcome(self._asked, method, arguments, options, within_s)
        if isinstance(answer, Exception):
            raise self._told(answer) from answer
        return answer

    def _asked(
        self, method: str, arguments: tuple[object, ...], options: Mapping[str, object], within_s: float
    ) -> Any:
        filesystem = self._filesystem
        if not filesystem.async_impl:
            return getattr(filesystem, method)(*arguments, **options)
        from fsspec.asyn import sync

        call = partial(getattr(filesystem, f"_{method}"), *arguments, **options)
        return sync(filesystem.loop, call, timeout=within_s)

    @property
    def _filesystem(self) -> Any:
        self._given = self._given or _filesystem(self.scheme)
        return self._given

    def _told(self, error: Exception) -> OSError:
        answer = getattr(error.__cause__, "response", None)
        code = answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None
        code = code or getattr(error, "error_code", None)  # Azure's
        # Not every server says which condition did not hold, without which s3fs does not know it for one.
        if isinstance(error, FileExistsError) or code in _LOST:
            return LostRace("another wrote it meanwhile")
        if isinstance(error, FileNotFoundError) and code not in _NO_STORE:
            return NoObject(_words(error))
        return StoreUnreachable(f"{self.url} cannot be reached: {_words(error)}")


def _filesystem(scheme: str) -> Any:
    # Imported here: most stores are folders, and it is an extra.
    from fsspec import filesystem

    return filesystem(scheme, use_listings_cache=False, skip_instance_cache=True)


def _seen(entry: Mapping[str, Any]) -> Seen:
    tag = entry.get("ETag") or entry.get("generation") or entry.get("etag") or entry.get("created")
    return Seen(int(entry.get("size") or 0), str(tag))


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def _words(error: Exception) -> str:
    return printable(" ".join(str(error).split()) or "no answer in time")
