"""When a store of objects was last looked at, by whichever process looks for the same."""

import hashlib
import json
import time
from collections.abc import Collection
from pathlib import Path


class LastLook:
    """A file in the cache, as old as the look. Whoever looks holds the lock of the cache."""

    def __init__(self, folder: Path, keep: int, only: Collection[str]) -> None:
        wanted = json.dumps([keep, sorted(only)]).encode()
        self._file = folder / hashlib.sha256(wanted).hexdigest()[:24]

    def was_within(self, seconds: float) -> bool:
        """Whether it was; not if it is of the future, as the clock was set back."""
        return self._file.is_file() and 0 <= time.time() - self._file.stat().st_mtime < seconds

    def note(self) -> None:
        """Raises OSError."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.touch()
