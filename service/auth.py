"""Who may call: API keys, of which the file holds only hashes.

A key is 256 random bits, so its SHA-256 needs no salt and no slow hash: there is nothing to guess.
"""

import hashlib
import hmac
import logging
import re
import secrets
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Unauthorized
from service.files import write_durably

logger = logging.getLogger(__name__)

_NAME = r"[A-Za-z0-9._-]{1,64}"
_LINE = re.compile(rf"(?P<name>{_NAME}):(?P<sha256>[0-9a-f]{{64}})")
_OPEN = ("/health/",)


class KeysUnreadable(Exception):
    """The file of keys is missing or has a line that is none."""


def add_key(path: Path, name: str) -> str:
    """Make a key, add its hash to the file under `name`, and return it: it is kept nowhere.

    Raises KeysUnreadable.
    """
    if not re.fullmatch(_NAME, name):
        raise KeysUnreadable(f"{name!r} is no name: use letters, digits, dot, dash and underscore.")
    key = secrets.token_urlsafe(32)
    before = path.read_bytes() if path.exists() else b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    staged = path.with_name(f".{path.name}.staged")
    write_durably(staged, before + f"{name}:{_hash(key)}\n".encode())
    staged.chmod(path.stat().st_mode if path.exists() else 0o600)
    staged.replace(path)
    return key


class KeyFile:
    """Lines `name:sha256`, read again when the file changes; a broken edit changes nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._look()
        self._hashes = _read(path)

    def check(self, scope: Scope) -> None:
        """Note in its state who sent this request. Raises Unauthorized."""
        key = _presented(scope)
        if key is None:
            raise Unauthorized("Send a key as 'Authorization: Bearer …' or 'X-API-Key: …'.")
        name = self.name_of(key)
        if name is None:
            raise Unauthorized("This key is not known.")
        scope["state"]["caller"] = name

    def name_of(self, key: str) -> str | None:
        """Whose key it is, or None. Takes the same time whichever line fits."""
        self._refresh()
        presented, found = _hash(key), None
        for name, known in self._hashes:
            if hmac.compare_digest(presented, known):
                found = name
        return found

    def _refresh(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._hashes = _read(self._path)
            logger.info("API keys read: %d", len(self._hashes))
        except KeysUnreadable as error:
            logger.error("API keys stay as they were: %s", error)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            file = self._path.stat()
        except OSError:
            return None
        return file.st_mtime_ns, file.st_ino, file.st_size


class ApiKeys:
    """Lets those pass who show a key, as `Authorization: Bearer` or `X-API-Key`; all to open paths."""

    def __init__(self, app: ASGIApp, keys: KeyFile, open_paths: tuple[str, ...] = ()) -> None:
        self._app = app
        self._keys = keys
        self._open = _OPEN + open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(self._open):
            self._keys.check(scope)
        await self._app(scope, receive, send)


def _presented(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return str(value, "latin-1")
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return str(value[7:], "latin-1").strip()
    return None


def _read(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysUnreadable(f"{path} cannot be read: {error}") from error
    keys = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if not match:
            raise KeysUnreadable(f"{path}, line {number} is not name:sha256.")
        keys.append((match["name"], match["sha256"]))
    return keys


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8")).hexdigest()
