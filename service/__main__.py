"""`python -m service`: parse the options, check the device, serve."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from service.errors import DeviceUnavailable
from service.server import run
from service.settings import Settings

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _option(field: str) -> Any:
    """An option that mirrors a setting: same name, same help, and the environment behind it."""
    info = Settings.model_fields[field]
    env = f"SERVICE_{field.upper()}"
    return typer.Option(help=f"{info.description} [{env}; default: {info.default}]", show_default=False)


@cli.command()
def serve(
    host: Annotated[str | None, _option("host")] = None,
    port: Annotated[int | None, _option("port")] = None,
    artifacts: Annotated[Path | None, _option("artifacts")] = None,
    device: Annotated[str | None, _option("device")] = None,
    workers: Annotated[int | None, _option("workers")] = None,
    threads: Annotated[int | None, _option("threads")] = None,
    precision: Annotated[str | None, _option("precision")] = None,
    access_log: Annotated[bool | None, _option("access_log")] = None,
    log_format: Annotated[str | None, _option("log_format")] = None,
    log_level: Annotated[str | None, _option("log_level")] = None,
    reload_s: Annotated[float | None, _option("reload_s")] = None,
    drain_s: Annotated[float | None, _option("drain_s")] = None,
    stop_s: Annotated[int | None, _option("stop_s")] = None,
    request_timeout_s: Annotated[float | None, _option("request_timeout_s")] = None,
    max_queued_batches: Annotated[int | None, _option("max_queued_batches")] = None,
    max_pending_bytes: Annotated[int | None, _option("max_pending_bytes")] = None,
    max_body_bytes: Annotated[int | None, _option("max_body_bytes")] = None,
    max_image_pixels: Annotated[int | None, _option("max_image_pixels")] = None,
) -> None:
    """Serve the live versions of the published models over HTTP.

    An option given here wins over its environment variable.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    try:
        settings = Settings(**given)
        _check_device(settings.device)
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{first['loc'][0]}: {first['msg']}") from error
    except DeviceUnavailable as error:
        raise typer.BadParameter(str(error)) from error
    run(settings)


def _check_device(choice: str) -> None:
    """Fail now and not in every worker. Raises DeviceUnavailable."""
    if choice.startswith("cuda"):
        from service.devices import resolve_device

        resolve_device(choice)


if __name__ == "__main__":
    cli()
