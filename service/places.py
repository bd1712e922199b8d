"""Where models are published: a folder, or a URL of objects, which are kept in a cache."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

# What each needs installed: an extra of its own.
DRIVERS = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}

# Of what is served of objects.
CACHE, CACHE_BYTES = Path("~/.cache/abacus"), 10 * 1024**3

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://").match
_PATH = re.compile(r"[^/?#\s]+(/[^/?#\s]+)*/?").fullmatch


def place_of(value: Any) -> Any:
    """A folder as a Path, `file://` too; the URL of objects as it is, without a slash at its end.

    Raises ValueError where it is neither.
    """
    if value == "":
        raise ValueError("must name a folder")
    if not isinstance(value, str):
        return value
    found = _SCHEME(value)
    if not found:
        return Path(value)
    scheme, rest = found[1], value[found.end() :]
    if scheme == "file":
        url = urlsplit(value)
        if url.netloc not in ("", "localhost") or not url.path.startswith("/"):
            raise ValueError("must name a folder of this machine, such as file:///srv/models")
        return Path(unquote(url.path))
    if scheme not in DRIVERS:
        raise ValueError(
            f"must be a folder, or begin with file://, {', '.join(f'{s}://' for s in DRIVERS)}"
        )
    if "@" in rest.partition("/")[0]:
        raise ValueError("must hold no credentials: they are in the environment or the backend's own files")
    if not _PATH(rest):
        raise ValueError(f"must be a bucket and a path in it, such as {scheme}://bucket/models")
    return value.rstrip("/")


def missing_extra(url: str) -> str | None:
    """The extra that has to be installed to read `url`; None: nothing is missing."""
    scheme = url.partition(":")[0]
    return None if find_spec("fsspec") and find_spec(DRIVERS[scheme]) else scheme
