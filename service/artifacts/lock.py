"""The lock of a model's folder, which publishers take in turn: a file that is there while one holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK_FILE = ".lock"
_MOST_TRIES = 100


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if need be. A killed holder frees it.

    The file goes in the end, and so does every folder that was made and has remained empty.
    Raises OSError where the folder cannot be made or the lock cannot be had.
    """
    lock, made = _taken(folder)
    try:
        yield
    finally:
        with suppress(OSError):  # another user's, in a folder where only they may remove it
            (folder / LOCK_FILE).unlink()
        for path in made:
            with suppress(OSError):  # it is not empty
                path.rmdir()
        os.close(lock)  # last of all: whoever waits for it finds what is there now


def open_lock(path: Path) -> int:
    """A descriptor to lock; the file may be another user's, as locking asks only to read it.

    Raises OSError.
    """
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o666)
    except PermissionError as error:
        try:
            return os.open(path, os.O_RDONLY | flags)
        except FileNotFoundError:
            raise error from None


def _taken(folder: Path) -> tuple[int, list[Path]]:
    """The lock, held, and the folders that were made for it, the innermost first. Raises OSError."""
    while True:
        lock, made = _opened(folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_at(folder / LOCK_FILE, lock):
                return lock, made
        except OSError:
            os.close(lock)
            raise
        os.close(lock)  # of a file that its holder has taken away meanwhile


def _opened(folder: Path) -> tuple[int, list[Path]]:
    tries = 0
    while True:
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return open_lock(folder / LOCK_FILE), made
        except (FileExistsError, FileNotFoundError):  # whoever had made it may take it away just now
            tries += 1
            if tries == _MOST_TRIES:
                raise


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
