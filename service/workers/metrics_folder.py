"""Where several workers keep their figures: a folder that is held while it is used, and bounded in size.

What a dead worker counted stays counted: the one that takes its place goes on with its files. Whoever holds
the lock of a folder uses it; the system frees it however that process ends.
"""

import fcntl
import fnmatch
import os
import shutil
import socket
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp

from service.connections.sharing import FILES, file_of
from service.rollout.unloaded import SOCKETS, UNLOADED, socket_of

_PREFIX = "abacus-metrics-"
_STAGED = "abacus-staged-"
_LOCK = ".lock"
# What each worker counts in, and the bytes that are written of each before it is mapped: whoever first
# wrote to a page for which the disk has no room would be ended by SIGBUS.
_KINDS, _BYTES = ("counter", "histogram", "gauge_livesum", "gauge_max"), 1 << 20
_USED = struct.Struct("i")  # how a file begins: with how many of its bytes are used


class FolderUnusable(Exception):
    """There is no folder that can be written, or another service uses the one that was named."""


class MetricsFolder:
    """The files `<type>_<pid>.db` of prometheus_client, of workers that live and of those that died."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._left: list[int] = []

    def bury(self, pid: int) -> None:
        """A worker has died: what it held is gone, what it counted waits for its successor."""
        for gauge in self._files(f"gauge_live*_{pid}.db"):
            with suppress(OSError), gauge.open("r+b") as file:
                # Its room is the successor's: others might take it on a full disk.
                file.write(_USED.pack(0))
        for shared in (socket_of(self.path, pid), file_of(self.path, pid)):
            with suppress(OSError):
                shared.unlink()
        self._left.append(pid)

    def hand_over(self, pid: int) -> None:
        """Give a new worker the files of one that died, or room for its own, which it must not have opened.

        Raises OSError where there is no room.
        """
        with suppress(OSError):  # a cleaner of temporary files may have taken it, and no worker would start
            self.path.mkdir(mode=0o700, exist_ok=True)
        taken_over = False
        while self._left and not taken_over:
            for name in fnmatch.filter(os.listdir(self.path), f"*_{self._left[-1]}.db"):
                (self.path / name).rename(self.path / f"{name.rpartition('_')[0]}_{pid}.db")
                taken_over = True
            self._left.pop()  # one that never had any room left nothing
        self.allocate(pid, _KINDS)

    def keep_ahead(self) -> None:
        """Give a file that is half full as much room again, while there is some: new versions add to it.

        Who counts in it would only make it longer, and be ended once there is no room behind that.
        """
        for path in self._files("*_*.db"):
            with suppress(OSError, struct.error), path.open("r+b") as file:
                (used,) = _USED.unpack(file.read(_USED.size))
                size = file.seek(0, os.SEEK_END)
                if used > size // 2 and shutil.disk_usage(path).free > size:
                    file.write(bytes(size))

    def _files(self, pattern: str) -> list[Path]:
        """None where nobody can look: this process may have no descriptor left for a while."""
        with suppress(OSError):
            return list(self.path.glob(pattern))
        return []

    def allocate(self, pid: int, kinds: Sequence[str]) -> None:
        """Raises OSError."""
        for kind in kinds:
            path = self.path / f"{kind}_{pid}.db"
            try:
                with path.open("ab") as file:
                    file.write(bytes(max(0, _BYTES - file.tell())))
            except OSError:
                if path.exists() and not path.stat().st_size:  # nobody could read it, nor any beside it
                    path.unlink()
                raise


def check_sockets(folder: Path) -> None:
    """Raises FolderUnusable where workers cannot have theirs in it."""
    path = socket_of(folder, os.getpid())
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
        path.unlink()
    except OSError as error:  # its path is too long, or it is on a file system that has none
        raise FolderUnusable(
            f"--allow-repository-control: {folder} cannot hold the sockets of workers ({error}). Set"
            " PROMETHEUS_MULTIPROC_DIR to a folder that can, of a short path."
        ) from error


@contextmanager
def metrics_folder(named: str | None) -> Iterator[MetricsFolder]:
    """`named` by the operator, who keeps it; or a temporary one, gone afterwards. Raises FolderUnusable."""
    path, lock = _operators(Path(named)) if named else _temporary()
    try:
        folder = MetricsFolder(path)
        try:
            folder.allocate(os.getpid(), ["counter"])  # of workers that ended
        except OSError as error:
            raise FolderUnusable(f"{path} has no room for metrics: {error.strerror}.") from error
        yield folder
    finally:
        if not named:
            shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _operators(path: Path) -> tuple[Path, int]:
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = _hold(path)
        if lock is None:
            raise FolderUnusable(f"PROMETHEUS_MULTIPROC_DIR={path}: another service uses it.")
        for files in ("*.db", SOCKETS, FILES):  # of a service that is gone
            for file in path.glob(files):
                file.unlink()
        shutil.rmtree(path / UNLOADED, ignore_errors=True)
    except OSError as error:
        raise FolderUnusable(
            f"PROMETHEUS_MULTIPROC_DIR={path} cannot be used: {error.strerror}."
        ) from error
    return path, lock


def _temporary() -> tuple[Path, int]:
    for base in _bases():
        with suppress(OSError):
            _clear(base)
            # It has its name once it is held: until then it would look like one that nobody uses.
            staged = Path(mkdtemp(prefix=_STAGED, dir=base))
            lock = _hold(staged)
            assert lock is not None
            try:
                MetricsFolder(staged).allocate(os.getpid(), _KINDS)
            except OSError:  # it is full
                shutil.rmtree(staged, ignore_errors=True)
                os.close(lock)
                continue
            return staged.rename(base / staged.name.replace(_STAGED, _PREFIX)), lock
    raise FolderUnusable(
        "No folder for the metrics of several workers can be written: set PROMETHEUS_MULTIPROC_DIR to one."
    )


def _bases() -> Iterator[Path]:
    with suppress(OSError):
        yield Path(gettempdir())
    yield Path("/dev/shm")


def _clear(base: Path) -> None:
    """Remove what services left that could not, because they were killed."""
    for path in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and (path / _LOCK).exists():
                lock = _hold(path)
                if lock is not None:
                    shutil.rmtree(path, ignore_errors=True)
                    os.close(lock)


def _hold(path: Path) -> int | None:
    """The lock of a folder, or None where another process has it. Raises OSError."""
    lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
