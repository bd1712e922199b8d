"""The file of API keys: lines `name:sha256`, held in memory, read again and again by a thread of its own.

A key is 256 random bits, so its SHA-256 needs no salt and no slow hash: there is nothing to guess.
Several lines may have one name: a key is changed without a gap by adding the new one first.
"""

import errno
import fcntl
import hashlib
import logging
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.artifacts.files import read_regular, sync_directory

logger = logging.getLogger(__name__)

LOOK_S = 0.2
PATIENCE_S = 5.0  # with a look, before it is said that the file does not answer
MAX_BYTES = 1024 * 1024  # some 10,000 keys

_NAME = r"[A-Za-z0-9._-]{1,64}"
_LINE = re.compile(rf"(?P<name>{_NAME}):(?P<sha256>[0-9a-f]{{64}})")


class KeysUnreadable(Exception):
    """The file of keys cannot be read or written, or has a line that is none."""


class KeyFile:
    """The keys as they could last be read: what cannot be read changes nothing, and is tried again.

    `content`: what another process read of the file, which is then not touched here. Raises KeysUnreadable.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        self._path = path
        self.content = _read(path) if content is None else content
        self._names = _parse(path, self.content)
        self._seen = self.content
        self._failure: str | None = None
        self._looking_since: float | None = None

    def name_of(self, key: str) -> str | None:
        """Whose key it is, or None.

        The hash is looked up, not compared: nobody can choose it, so the time that it takes tells nothing.
        """
        return self._names.get(_hash(key))

    @contextmanager
    def kept_up(self, on_failure: Callable[[], object]) -> Iterator[None]:
        """Take up changes until the block ends; `on_failure` is called, on some thread, where a look fails.

        On threads that nothing waits for: a file system that hangs holds up no request and no stop.
        """
        over = threading.Event()
        for target in (self._keep_looking, self._keep_time):
            threading.Thread(target=target, args=(over, on_failure), name="keys", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def _keep_looking(self, over: threading.Event, on_failure: Callable[[], object]) -> None:
        while not over.wait(LOOK_S):
            self._looking_since = time.monotonic()
            try:
                self._look()
            except KeysUnreadable as error:
                self._fail(str(error), on_failure)
            self._looking_since = None

    def _keep_time(self, over: threading.Event, on_failure: Callable[[], object]) -> None:
        while not over.wait(PATIENCE_S):
            since = self._looking_since
            if since is not None and time.monotonic() - since > PATIENCE_S:
                self._fail(f"{self._path} does not answer", on_failure)

    def _look(self) -> None:
        """The content decides, not a time stamp: copies and archives keep those."""
        seen = _read(self._path)
        # Taken up once it stands still: an editor that writes in place first empties the file.
        settled, self._seen = seen == self._seen, seen
        if settled and seen != self.content:
            self._names = _parse(self._path, seen)
            self.content = seen
            logger.info("API keys read: %d", len(self._names))
        elif settled and self._failure:
            logger.info("API keys can be read again, and are as they were")
        if settled:
            self._failure = None

    def _fail(self, reason: str, on_failure: Callable[[], object]) -> None:
        on_failure()
        if reason != self._failure:
            self._failure = reason
            logger.error("API keys stay as they were: %s", reason)


def add_key(path: Path, name: str) -> str:
    """Make a key, add its hash to the file under `name`, and return it: it is kept nowhere.

    Written in place, so that owner, mode, links and mounts stay what they are. Raises KeysUnreadable.
    """
    if not re.fullmatch(_NAME, name):
        raise KeysUnreadable(f"{name!r} is no name: use letters, digits, dot, dash and underscore.")
    key = secrets.token_urlsafe(32)
    try:
        with _locked(path) as descriptor:
            before = _read(path)
            _parse(path, before)
            line = f"{name}:{_hash(key)}\n".encode()
            if before and not before.endswith(b"\n"):
                line = b"\n" + line
            if len(before) + len(line) > MAX_BYTES:
                raise KeysUnreadable(f"{path} is full: it may have {MAX_BYTES} bytes.")
            _append(descriptor, line)
            if not before:
                sync_directory(path.resolve().parent)
    except OSError as error:
        raise KeysUnreadable(f"{path} cannot be written: {error.strerror}.") from error
    return key


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The open file, made if it is not there, while no other holds it."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = os.open(path, flags, 0o600)
        try:
            opened = os.fstat(descriptor)
            if not stat.S_ISREG(opened.st_mode):
                raise KeysUnreadable(f"{path} is no regular file.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(path, descriptor):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether it was not replaced while we waited: the lock would be on a file that is gone."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def _append(descriptor: int, line: bytes) -> None:
    """Write all of the line or, where the disk is full, nothing. Raises OSError."""
    size = os.fstat(descriptor).st_size
    try:
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_BYTES)
    except OSError as error:
        raise KeysUnreadable(f"{path} cannot be read: {error.strerror}.") from error


def _parse(path: Path, content: bytes) -> dict[str, str]:
    """Names by hash. Raises KeysUnreadable."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise KeysUnreadable(f"{path} cannot be read: {error}.") from error
    names = {}
    for number, line in enumerate(map(str.strip, re.split(r"\r\n?|\n", text)), 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise KeysUnreadable(f"{path}, line {number} is not name:sha256.")
        names[match["sha256"]] = match["name"]
    return names


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8")).hexdigest()
