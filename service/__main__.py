"""`python -m service` serves; `models`, `key` and `--explain-engine` are for its operators."""

import os
import sys

from service.starting import (
    ended_at_once,
    interrupted_at_once,
    interrupted_in_order,
    open_output,
    stop_at_once,
    will_serve,
)

if __name__ == "__main__":
    if will_serve(sys.argv[1:]):
        stop_at_once()
    else:
        interrupted_at_once()

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from inspect import Parameter, Signature, signature
from pathlib import Path
from threading import Thread
from typing import Annotated, Any, get_args, get_type_hints

import typer

from service import __version__, commands, installing
from service.artifacts.manifest import ArtifactError
from service.artifacts.shipped import located
from service.artifacts.signatures import KeyUnusable, trusted_by
from service.connections.listening import AddressUnusable
from service.errors import DeviceUnavailable
from service.http.keys import KeyFile, KeysUnreadable, add_key
from service.option_types import missing_extra
from service.settings import Settings, SettingsUnusable, read_settings, variable
from service.terminal import command_line, fail, remark, say
from service.workers.launching import CannotLaunch
from service.workers.metrics_folder import FolderUnusable
from service.workers.processes import run
from service.workers.start_method import check_start_method

FOLDER_ANSWERS_S = 5.0

_PLAIN = (str, bool, int, float)  # that an option is read as; of a path, "" would become "."

_UNUSABLE = (
    SettingsUnusable,
    DeviceUnavailable,
    KeysUnreadable,
    KeyUnusable,
    FolderUnusable,
    CannotLaunch,
)

cli = command_line()
cli.add_typer(commands.cli, name="models")


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give it an option for every setting: same name, same help, and the environment behind it."""
    types = get_type_hints(Settings)
    options = [_option(name, types[name]) for name in Settings.model_fields]
    context, *own, _ = signature(command).parameters.values()
    command.__signature__ = Signature([context, *options, *own])  # type: ignore[attr-defined]
    return command


def _option(name: str, kind: Any) -> Parameter:
    """What typer reads as text, the settings check: names of models, say."""
    info = Settings.model_fields[name]
    told = typer.Option(
        help=f"{info.description} [{variable(name)}; default: {info.default}]", show_default=False
    )
    read_as = next((plain for plain in _PLAIN if plain in (kind, *get_args(kind))), str)
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[read_as | None, told])


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"abacus {__version__}")
        raise typer.Exit


@cli.callback(invoke_without_command=True)
@_with_settings
def serve(
    context: typer.Context,
    *,
    explain_engine: Annotated[
        bool,
        typer.Option(help="Say how every live model would be computed on this machine, and why so; exit."),
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
    **options: Any,
) -> None:
    """Serve the live versions of the published models over HTTP.

    An option given here wins over its environment variable.
    """
    del version  # its callback has shown it
    given = {name: value for name, value in options.items() if value is not None}
    if context.invoked_subcommand:
        if given:
            raise typer.BadParameter(f"{context.invoked_subcommand} takes its options behind its name.")
        return
    try:
        settings = located(read_settings(**given))
        _check(settings)
        if explain_engine:
            _explain(settings)
        else:
            run(settings)
    except _UNUSABLE as error:
        raise typer.BadParameter(str(error)) from error
    except AddressUnusable as error:
        fail(str(error))


@cli.command()
def key(
    name: Annotated[str, typer.Argument(help="Whose key it is; shown in the log.")],
    file: Annotated[Path, typer.Option(help="File of keys to add it to.", envvar="SERVICE_API_KEYS_FILE")],
) -> None:
    """Make an API key and print it once. Its hash is added to the file; a running service takes it up."""
    try:
        typer.echo(add_key(file, name))
    except KeysUnreadable as error:
        raise typer.BadParameter(str(error)) from error


def _explain(settings: Settings) -> None:
    """How every live model would be computed here, found out as a worker does, and why so; or why not."""
    # Imported here: who serves has torch in workers alone.
    import torch

    from service.artifacts.remote.store import store_of
    from service.endpoints.kinds import endpoint_of
    from service.engine.cpus import threads_of
    from service.engine.devices import resolve_device
    from service.serving.loading import Loader

    threads = threads_of(settings.threads, settings.workers)
    torch.set_num_threads(threads)
    device = resolve_device(settings.device)
    store, trusted = store_of(settings), trusted_by(settings)
    loader = Loader(store, endpoint_of, device, settings.precision, trusted, settings.max_model_bytes)
    say(f"device {device}, {threads} thread(s), --precision {settings.precision}")
    names = list(settings.models) or commands.read(store.names)
    for name in names:
        for line in commands.read(partial(_computed, name, loader)):
            say(line)
    if not names:
        remark(f"no model is published in {store.address}")


def _computed(name: str, loader: Any) -> list[str]:
    """How its live version would be computed, or why it is not served. Raises OSError."""
    from service.engine.explained import lines

    try:
        version = loader.store.current(name)
        predictor, _ = loader.load_version(name, version)
    except ArtifactError as error:
        return [f"{name}: not served: {error}"]
    assert predictor.explained
    return lines(f"{name}/{version}", predictor.explained)


def _is_readable(folder: Path) -> bool:
    """Whether it is a folder that can be read. On a mount that does not answer it is given the benefit."""
    found: list[bool] = []

    def look() -> None:
        found.append(folder.is_dir() and os.access(folder, os.R_OK | os.X_OK))

    looking = Thread(target=look, daemon=True)
    looking.start()
    looking.join(FOLDER_ANSWERS_S)
    return all(found)


def _check(settings: Settings) -> None:
    """Fail now and not in every worker.

    Raises CannotLaunch, DeviceUnavailable or typer.BadParameter.
    """
    if isinstance(settings.artifacts, str):
        if extra := missing_extra(settings.artifacts):
            raise typer.BadParameter(
                f"--artifacts {settings.artifacts} needs the extra: {installing(extra)}"
            )
    elif not _is_readable(settings.artifacts):
        raise typer.BadParameter(
            f"--artifacts {settings.artifacts} is no folder that can be read. It is to name the folder that"
            " models are published into; one that is empty will do, to publish into it later."
        )
    check_start_method(settings)
    try:
        if settings.api_keys_file:
            KeyFile(settings.api_keys_file)
    except KeysUnreadable as error:
        raise typer.BadParameter(f"--api-keys-file {error}") from error
    try:
        trusted_by(settings)
    except KeyUnusable as error:
        raise typer.BadParameter(f"--trusted-keys {error}") from error
    if settings.traces != "off" and not find_spec("opentelemetry.sdk"):
        raise typer.BadParameter(f"--traces needs the extra: {installing('tracing')}")
    if settings.grpc_port is not None and not all(map(find_spec, ("grpc_tools", "grpc_reflection"))):
        raise typer.BadParameter(f"--grpc-port needs the extra: {installing('grpc')}")
    if settings.device.startswith("cuda"):
        from service.engine.devices import resolve_device

        resolve_device(settings.device)


if __name__ == "__main__":
    open_output()
    if not will_serve(sys.argv[1:]):
        interrupted_in_order()
    ended_at_once(cli)
