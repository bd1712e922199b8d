"""Files that others can write to: only regular ones are read, and no more of them than is expected.

A path may turn out to be a FIFO, a device, a link to elsewhere or a gigabyte of nothing. So each is looked
at before it is opened, opened without waiting and without following links, looked at once more, since it
may have been exchanged meanwhile, and read up to a limit. Folders are opened one by one, each from the one
above it: no exchange of a folder leads elsewhere.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

READ_WITHIN_S = 60
_CHUNK_BYTES = 1024 * 1024
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
}
_NO_WAIT = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Unreadable(Exception):
    """What is not read, and why: never what stands in it."""

    @property
    def missing(self) -> bool:
        """Whether there is nothing."""
        return isinstance(self.__cause__, FileNotFoundError)

    @property
    def reason(self) -> str:
        """What went wrong, without the path."""
        return str(self.__cause__.strerror) if isinstance(self.__cause__, OSError) else str(self)


def read_regular(path: Path, at_most: int) -> bytes:
    """A file that the operator named, up to so many bytes; links to it are followed. Raises OSError."""
    _must_be(stat.S_IFREG, path.stat())
    return _read(os.open(path, _NO_WAIT), at_most)


def read_below(root: Path, *names: str, at_most: int, exactly: bool = False) -> bytes:
    """The file `names` below `root`: up to so many bytes, or `exactly` so many.

    `root` may be a link, and nothing below it. Raises Unreadable.
    """
    *folders, name = names
    with folder_below(root, *folders) as folder, _explained("/".join(names)):
        _must_be(stat.S_IFREG, os.stat(name, dir_fd=folder, follow_symlinks=False))
        return _read(os.open(name, _NO_WAIT | os.O_NOFOLLOW, dir_fd=folder), at_most, exactly)


@contextmanager
def folder_below(root: Path, *names: str) -> Iterator[int]:
    """A descriptor of the folder `names` below `root`. Raises Unreadable."""
    with _explained(str(root)):
        folder = os.open(root, _NO_WAIT | os.O_DIRECTORY)
    try:
        for depth, name in enumerate(names, 1):
            with _explained("/".join(names[:depth])):
                _must_be(stat.S_IFDIR, os.stat(name, dir_fd=folder, follow_symlinks=False))
                inner = os.open(name, _NO_WAIT | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def folders_and_links_in(root: Path, at_most: int) -> tuple[list[str], list[str]]:
    """The names of the folders in `root`, and of the links, of so many entries. Raises Unreadable."""
    links = _named(lambda entry: entry.is_symlink(), root, (), at_most)
    return folders_in(root, at_most=at_most), links


def folders_in(root: Path, *names: str, at_most: int | None = None) -> list[str]:
    """The names of the folders in the folder `names` below `root`, in no order.

    `at_most` so many entries of it are looked at. Raises Unreadable.
    """
    return _named(lambda entry: entry.is_dir(follow_symlinks=False), root, names, at_most)


def names_in(root: Path, *names: str, at_most: int | None = None) -> list[str]:
    """Of whatever is there, as `folders_in`. Raises Unreadable."""
    return _named(lambda _: True, root, names, at_most)


def files_in(root: Path, *names: str) -> list[str]:
    """The names of the regular files in the folder `names` below `root`, in no order. Raises Unreadable."""
    return _named(lambda entry: entry.is_file(follow_symlinks=False), root, names, None)


def stamp_below(root: Path, *names: str) -> tuple[int, ...] | None:
    """What changes when the file or folder does, even if its times are set back. None: there is none."""
    *folders, name = names
    try:
        with folder_below(root, *folders) as folder:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (Unreadable, OSError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size


def must_be_there(root: Path, *names: str) -> None:
    """Raises Unreadable where there is nothing of that name, or nobody can tell."""
    *folders, name = names
    with folder_below(root, *folders) as folder, _explained("/".join(names)):
        os.stat(name, dir_fd=folder, follow_symlinks=False)


def identity(root: Path) -> tuple[int, int]:
    """Device and inode of a folder, which differ for one that takes its place. Raises Unreadable."""
    with folder_below(root) as folder, _explained(str(root)):
        found = os.fstat(folder)
    return found.st_dev, found.st_ino


def write_durably(path: Path, data: bytes) -> None:
    """Write a whole file and wait until it is on the disk. A link in its place is not followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with naming(path), open(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(path: Path, data: bytes, aside: Path) -> None:
    """Put a whole file in the place of `path`, written `aside` first; it is on the disk. Raises OSError."""
    try:
        write_durably(aside, data)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_directory(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What goes wrong with a file that is open, such as a disk that is full, names it too."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def sync_directory(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk; a rename is durable only after this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _named(
    wanted: Callable[[os.DirEntry[str]], bool], root: Path, names: tuple[str, ...], at_most: int | None
) -> list[str]:
    with (
        folder_below(root, *names) as folder,
        _explained("/".join(names) or str(root)),
        os.scandir(folder) as entries,
    ):
        return [entry.name for entry in islice(entries, at_most) if wanted(entry)]


@contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unreadable(f"{where} cannot be read: {error.strerror}") from error


def _must_be(kind: int, found: os.stat_result) -> None:
    there = stat.S_IFMT(found.st_mode)
    if there != kind:
        wanted = "folder" if kind == stat.S_IFDIR else "regular file"
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(there, 'something else')}, and no {wanted}")


def _read(descriptor: int, at_most: int, exactly: bool = False) -> bytes:
    """Read and close. Reading what grows meanwhile, or comes by the drop, ends too."""
    ends_at = time.monotonic() + READ_WITHIN_S
    with open(descriptor, "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        _must_be(stat.S_IFREG, found)
        if found.st_size > at_most or (exactly and found.st_size != at_most):
            limit = f"not {at_most}" if exactly else f"more than {at_most}"
            raise OSError(errno.EFBIG, f"it has {found.st_size} bytes, {limit}")
        chunks: list[bytes] = []
        left = at_most + 1
        while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
            if time.monotonic() > ends_at:
                raise OSError(errno.ETIMEDOUT, f"reading it takes longer than {READ_WITHIN_S} s")
            chunks.append(chunk)
            left -= len(chunk)
        if not left:
            raise OSError(errno.EFBIG, f"it has grown beyond {at_most} bytes")
    return b"".join(chunks)


def reason_of(error: OSError) -> str:
    """What went wrong, and with which file where it was one."""
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
