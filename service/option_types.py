"""What the values of options may be, as types that pydantic checks."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from service.places import place_of

Precision = Literal["auto", "float32", "bfloat16", "float16"]
StartMethod = Literal["auto", "fork", "spawn"]
LogFormat = Literal["text", "json"]
Traces = Literal["off", "console", "otlp"]
LogLevel = Literal["debug", "info", "warning", "error"]


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
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", value):
        raise ValueError(f"must be names of models, such as digit,pass, not {value!r}")
    return value


Port = Annotated[int, Field(ge=0, le=65535)]
Place = Annotated[Path | str, BeforeValidator(place_of)]
Device = Annotated[str, AfterValidator(_device)]
Prefix = Annotated[str, AfterValidator(_prefix)]

# As one text they are separated by commas, in the environment as well: not JSON, as pydantic would have it.
_COMMAS = (NoDecode, BeforeValidator(_split))
Names = Annotated[tuple[Annotated[str, AfterValidator(_model)], ...], *_COMMAS]
Paths = Annotated[tuple[Annotated[str, AfterValidator(_path)], ...], *_COMMAS]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], *_COMMAS]
