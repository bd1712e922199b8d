"""All settings of the service, read once from the environment. No other module reads it."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Precision = Literal["float32", "bfloat16", "float16"]
LogLevel = Literal["debug", "info", "warning", "error"]


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
    log_level: LogLevel = Field("info", description="debug, info, warning or error.")
    max_body_bytes: int = Field(16 * 1024 * 1024, ge=1, description="Largest request body, in bytes.")
    max_image_pixels: int = Field(
        25_000_000, ge=1, description="Largest picture, width × height, checked before decoding."
    )
