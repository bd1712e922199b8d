"""What the values of options may be, as types that pydantic checks; and where models may be published.

That is a folder, or a URL of objects, which are kept in a cache.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

Precision = Literal["auto", "float32", "bfloat16", "float16"]
StartMethod = Literal["auto", "fork", "spawn"]
LogFormat = Literal["text", "json"]
Traces = Literal["off", "console", "otlp"]
LogLevel = Literal["debug", "info", "warning", "error"]

# What each needs installed: an extra of its own.
DRIVERS = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}

# Of what is served of objects.
CACHE, CACHE_BYTES = Path("~/.cache/abacus"), 10 * 1024**3

# Of a model: it stands in URLs, and is the name of a folder.
NAME = r"[a-z][a-z0-9-]{0,62}"

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


def _named(value: Any) -> Any:
    if value == "":  # a Path would make the current folder of it
        raise ValueError("must be a path; leave the setting out for none")
    return value


def _split(value: Any) -> Any:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


def _device(value: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
        raise ValueError("must be auto, cpu, cuda or cuda:N")
    return value


def _path(value: str) -> str:
    if not re.fullmatch(r"(/[^/?#\s]+)+/?", value):
        raise ValueError(f"must be paths that begin with a slash, such as /metrics, not {value!r}")
    return value


def _prefix(value: str) -> str:
    return _path(value).rstrip("/") if value.strip("/") else ""


def _origin(value: str) -> str:
    if not re.fullmatch(r"\*|[a-z][a-z0-9+.-]*://[^/?#\s]+", value):
        raise ValueError(f"must be * or origins such as https://example.org, without a path, not {value!r}")
    return value


def _model(value: str) -> str:
    if not re.fullmatch(NAME, value):
        raise ValueError(f"must be names of models, such as digit,pass, not {value!r}")
    return value


Port = Annotated[int, Field(ge=0, le=65535)]
Place = Annotated[Path | str, BeforeValidator(place_of)]
NamedPath = Annotated[Path, BeforeValidator(_named)]
Device = Annotated[str, AfterValidator(_device)]
Prefix = Annotated[str, AfterValidator(_prefix)]

# As one text they are separated by commas, in the environment as well: not JSON, as pydantic would have it.
_COMMAS = (NoDecode, BeforeValidator(_split))
Names = Annotated[tuple[Annotated[str, AfterValidator(_model)], ...], *_COMMAS]
Paths = Annotated[tuple[Annotated[str, AfterValidator(_path)], ...], *_COMMAS]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], *_COMMAS]
