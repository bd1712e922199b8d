"""`python -m service`: parse the options, check the device, serve."""

import logging
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from pydantic import ValidationError
from uvicorn.supervisors import Multiprocess

from service.app import create_app
from service.devices import DeviceUnavailable, resolve_device
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
    log_level: Annotated[str | None, _option("log_level")] = None,
    max_body_bytes: Annotated[int | None, _option("max_body_bytes")] = None,
    max_image_pixels: Annotated[int | None, _option("max_image_pixels")] = None,
) -> None:
    """Serve the live versions of the published models over HTTP.

    An option given here wins over its environment variable.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    try:
        settings = Settings(**given)
        resolve_device(settings.device)
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{first['loc'][0]}: {first['msg']}") from error
    except DeviceUnavailable as error:
        raise typer.BadParameter(str(error)) from error
    run(settings)


def run(settings: Settings) -> None:
    """Serve until a signal ends it. Exits with uvicorn's code when the application cannot start."""
    config = uvicorn.Config(
        partial(create_app, settings),
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        access_log=False,  # middleware.py writes it, with the request's id
        proxy_headers=False,  # nothing here depends on the client's address
        ws="none",
        log_config=_log_config(settings.log_level),
        server_header=False,
    )
    if settings.workers == 1:
        # uvicorn raises the signal that stopped it once more when all is done: a stop is a success.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        server = uvicorn.Server(config)
        server.run()
        raise typer.Exit(0 if server.started else 3)
    Multiprocess(config, sockets=[config.bind_socket()]).run()


def _log_config(level: str) -> dict[str, Any]:
    """For logging.config.dictConfig; every worker process applies it when it starts."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": logging.getLevelName(level.upper())},
    }


if __name__ == "__main__":
    cli()
