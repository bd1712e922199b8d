"""All settings of the service, read once from the environment. No other module reads it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Precision = Literal["float32", "bfloat16", "float16"]
LogFormat = Literal["text", "json"]
Traces = Literal["off", "console", "otlp"]
LogLevel = Literal["debug", "info", "warning", "error"]


def _split(value: Any) -> Any:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """One frozen value, handed down by `create_app`; each field is also `SERVICE_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="SERVICE_", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    artifacts: Path = Field(Path("artifacts"), description="Folder of published models.")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="auto, cpu, cuda or cuda:N. auto takes a GPU when there is one.",
    )
    workers: int = Field(1, ge=1, description="Server processes; each loads its own models.")
    threads: int | None = Field(
        None,
        ge=1,
        description="Threads that compute a batch on the CPU; by default the processors per worker,"
        " less one.",
    )
    precision: Precision = Field(
        "float32",
        description="float32, bfloat16 or float16. Half precision moves probabilities by up to 0.02.",
    )
    access_log: bool = Field(False, description="One line in the log for every request.")
    log_format: LogFormat = Field("text", description="text or json.")
    log_level: LogLevel = Field("info", description="debug, info, warning or error.")
    traces: Traces = Field(
        "off",
        description="off, console or otlp (OTEL_EXPORTER_OTLP_ENDPOINT); needs the extra tracing.",
    )
    reload_s: float = Field(0.5, gt=0, description="Seconds between looks for a new live version.")
    drain_s: float = Field(
        0, ge=0, description="Seconds to go on answering, not ready, after a signal to stop."
    )
    stop_s: int = Field(
        30, ge=1, description="Seconds that requests in flight then have, before they are cut off."
    )
    request_timeout_s: float = Field(
        60,
        gt=0,
        description="Seconds for a whole request; the header X-Request-Timeout-Ms asks for less.",
    )
    max_queued_batches: int = Field(
        64,
        ge=1,
        description="Full batches under way for one model (64 pictures or 10,000 hours each); then 429.",
    )
    max_pending_bytes: int = Field(
        256 * 1024 * 1024, ge=1, description="Bytes of all bodies under way; then 429."
    )
    api_keys_file: Path | None = Field(
        None,
        description="File of API keys, made by `python -m service key`; without it all may call.",
    )
    open_paths: CommaSeparated = Field(
        (),
        description="Paths that need no key beside /health, such as /metrics,/docs,/openapi.json.",
    )
    cors_origins: CommaSeparated = Field(
        (), description="Origins whose pages may call, comma-separated; or *."
    )
    trusted_keys: Path | None = Field(
        None, description="PEM file of public keys; then only artifacts that one of them signed are served."
    )
    max_body_bytes: int = Field(16 * 1024 * 1024, ge=1, description="Largest request body, in bytes.")
    max_image_pixels: int = Field(
        25_000_000, ge=1, description="Largest picture, width × height, checked before decoding."
    )
