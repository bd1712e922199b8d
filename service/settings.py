"""All settings of the service, read once from the environment. Beside it `processes` alone looks there."""

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.option_types import (
    CACHE,
    CACHE_BYTES,
    Device,
    LogFormat,
    LogLevel,
    NamedPath,
    Names,
    Origins,
    Paths,
    Place,
    Port,
    Precision,
    Prefix,
    StartMethod,
    Traces,
)

PREFIX = "SERVICE_"

# No more than the clocks, counters and messages that values go into can hold; far beyond what is of use.
MOST_SECONDS, MOST_PROCESSES, MOST_KEPT, MOST = 1_000_000, 1_024, 64, 2**53


class SettingsUnusable(Exception):
    """An option or an environment variable has a value that it cannot have."""


class Settings(BaseSettings):
    """One frozen value, handed down by `create_app`; each field is also `SERVICE_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen on; 0.0.0.0 for every interface, :: for IPv6 as well.",
    )
    port: Port = Field(8000, description="TCP port; 0 takes a free one.")
    grpc_port: Port | None = Field(
        None,
        description="TCP port for gRPC, in the same processes; 0 takes a free one; needs the extra grpc.",
    )
    artifacts: Place = Field(
        Path("artifacts"),
        description="Folder of published models, or where they are kept as objects, such as"
        " s3://bucket/models, which needs the extra s3 (gs, az).",
    )
    artifacts_cache: NamedPath = Field(CACHE, description="Folder of what is served of a store of objects.")
    artifacts_cache_bytes: int = Field(
        CACHE_BYTES,
        ge=1,
        le=MOST,
        description="Bytes of archives that are kept there; what is live and labelled must fit twice.",
    )
    artifacts_look_s: float = Field(
        5, gt=0, le=MOST_SECONDS, description="Seconds between looks into a store of objects."
    )
    models: Names = Field(
        (), description="Models to serve, comma-separated; all must be there. By default all there are."
    )
    keep: int = Field(
        1,
        ge=1,
        le=MOST_KEPT,
        description="Versions of a model that are loaded: the live one, and the newest others.",
    )
    allow_repository_control: bool = Field(
        False, description="Load and unload models by requests of the Open Inference Protocol."
    )
    canary_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of the requests to a model that its version labelled canary answers.",
    )
    device: Device = Field(
        "auto", description="auto, cpu, cuda or cuda:N. auto takes a GPU when there is one."
    )
    workers: int = Field(1, ge=1, le=MOST_PROCESSES, description="Server processes that share the port.")
    start_method: StartMethod = Field(
        "auto",
        description="fork: models are loaded once, workers share their memory; spawn: each loads its own;"
        " auto: fork on the CPU of a Linux.",
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=MOST_PROCESSES,
        description="Threads that compute a batch on the CPU; by default the processors per worker,"
        " less one.",
    )
    precision: Precision = Field(
        "auto",
        description="auto, float32, bfloat16 or float16. auto computes in float32, or in int8 where the"
        " archive holds it, the check passes and it is quicker; float32 never does. Half precision moves"
        " probabilities by up to 0.05.",
    )
    access_log: bool = Field(False, description="One line in the log for every request.")
    log_format: LogFormat = Field(
        "text", description="text (for people at a terminal, logfmt elsewhere) or json."
    )
    log_level: LogLevel = Field("info", description="debug, info, warning or error.")
    traces: Traces = Field(
        "off", description="off, console or otlp (OTEL_EXPORTER_OTLP_ENDPOINT); needs the extra tracing."
    )
    reload_s: float = Field(
        0.5, gt=0, le=MOST_SECONDS, description="Seconds between looks for a new live version."
    )
    load_timeout_s: float = Field(
        60,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds that a version has to get ready; then it is given up and stays out.",
    )
    batch_timeout_s: float = Field(
        25,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds that one batch may take; then the service is not live, and 10 s later ends.",
    )
    max_model_bytes: int = Field(
        512 * 1024 * 1024, ge=1, le=MOST, description="Largest archive that is read, in bytes."
    )
    drain_s: float = Field(
        0,
        ge=0,
        le=MOST_SECONDS,
        description="Seconds to go on answering, not ready, after a signal to stop.",
    )
    stop_s: int = Field(
        30,
        ge=1,
        le=MOST_SECONDS,
        description="Seconds that requests in flight then have, before they are cut off.",
    )
    worker_start_s: float = Field(
        600,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds that a worker may take to start before it is replaced.",
    )
    worker_silence_s: float = Field(
        60,
        gt=1,
        le=MOST_SECONDS,
        description="Seconds that a worker's event loop may stand still before it is replaced.",
    )
    request_timeout_s: float = Field(
        60,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds for a whole request; the header X-Request-Timeout-Ms asks for less.",
    )
    keep_alive_s: int = Field(
        75,
        ge=1,
        le=MOST_SECONDS,
        description="Seconds that a connection may be idle; more than any proxy in front keeps it.",
    )
    max_queued_batches: int = Field(
        64,
        ge=1,
        le=MOST,
        description="Full batches under way for one model (64 pictures or 10,000 rows each); then 429.",
    )
    max_pending_bytes: int = Field(
        256 * 1024 * 1024, ge=1, le=MOST, description="Bytes of all bodies under way; then 429."
    )
    api_keys_file: NamedPath | None = Field(
        None, description="File of API keys, made by `python -m service key`; without it all may call."
    )
    open_paths: Paths = Field(
        (),
        description="Paths that need no key beside health and the page, each with all below it, such as"
        " /metrics,/docs,/openapi.json.",
    )
    cors_origins: Origins = Field((), description="Origins whose pages may call, comma-separated; or *.")
    root_path: Prefix = Field(
        "", description="Path under which a proxy shows the service, such as /abacus."
    )
    trusted_keys: NamedPath | None = Field(
        None, description="PEM file of public keys; then only artifacts that one of them signed are served."
    )
    max_body_bytes: int = Field(
        16 * 1024 * 1024, ge=1, le=MOST, description="Largest request body, in bytes."
    )
    max_image_pixels: int = Field(
        25_000_000, ge=1, le=MOST, description="Largest picture, width × height, checked before decoding."
    )


class KeyContents(NamedTuple):
    """What the files of keys held when they could last be read; all processes of a service go by it."""

    api_keys: bytes | None = None
    trusted_keys: bytes | None = None


def read_settings(**options: Any) -> Settings:
    """`options` over the environment.

    Raises SettingsUnusable, which names every option or variable that is wrong, and its value.
    """
    try:
        return Settings(**options)
    except ValidationError as error:
        raise SettingsUnusable("; ".join(_blamed(error, options))) from error


def unknown_variables() -> Iterator[str]:
    """What to say of each environment variable that looks like a setting and is none."""
    known = [name.upper() for name in Settings.model_fields]
    for variable_name in sorted(os.environ):
        name = variable_name.upper().removeprefix(PREFIX)
        if variable_name.upper() == PREFIX + name and name not in known:
            nearest = get_close_matches(name, known, 1)
            hint = f"; the nearest is {PREFIX}{nearest[0]}" if nearest else ""
            yield f"The environment variable {variable_name} is no setting and is ignored{hint}."


def colours_wanted() -> bool:
    """Unless NO_COLOR is set (no-color.org)."""
    return not os.environ.get("NO_COLOR")


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + field.upper()


def _blamed(error: ValidationError, options: dict[str, Any]) -> Iterator[str]:
    for item in error.errors():
        name = str(item["loc"][0])
        value = options.get(name, os.environ.get(variable(name), item["input"]))
        shown = "''" if value == "" else value
        where = f"--{name.replace('_', '-')} {shown}" if name in options else f"{variable(name)}={value!r}"
        message = item["msg"].removeprefix("Value error, ")
        yield f"{where}: {message[0].lower()}{message[1:]}"
