"""`python -m service models …`: see, verify, sign and choose what is published and what is live."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer

from service import installing
from service.artifacts.files import reason_of
from service.artifacts.manifest import ArtifactError
from service.artifacts.pointers import CANARY, CURRENT_FILE, STABLE, check_name, unpointed
from service.artifacts.remote.store import store_of
from service.artifacts.shipped import located
from service.artifacts.signatures import KeyUnusable, SigningKey, sign_published, trusted_by
from service.artifacts.store import ArtifactStore
from service.listed import every_version, line, live_version, print_table, unserved
from service.option_types import missing_extra
from service.settings import Settings, SettingsUnusable, read_settings
from service.terminal import command_line, fail, remark, say
from service.trial import try_version

T = TypeVar("T")

Label = Literal["stable", "canary"]

cli = command_line(no_args_is_help=True, help="See, verify, sign and choose what is live.")

Artifacts = Annotated[
    str | None,
    typer.Option(
        help="Folder of published models, or their URL, such as s3://bucket/models. [SERVICE_ARTIFACTS]",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Argument(help="Model, such as digit.")]


@cli.command("list")
def list_(artifacts: Artifacts = None) -> None:
    """Every published version. The live one has a star, and labels stand behind."""
    store, _ = _opened(artifacts)
    found = read(lambda: list(every_version(store)))
    if not found:
        remark(f"no version is published in {store.address}")
    elif sys.stdout.isatty():
        print_table(found)
    else:
        for one in found:
            say(line(one))
    for why in read(lambda: list(unserved(store, found))):
        remark(why)


@cli.command()
def verify(
    name: Name,
    version: Annotated[int | None, typer.Argument(help="By default the live one.")] = None,
    artifacts: Artifacts = None,
) -> None:
    """Load a version as the service would: signature, hash, checks. Exit code 1 when it is refused."""
    store, settings = _opened(artifacts)
    number = version if version is not None else read(lambda: store.current(name))
    read(lambda: _try(store, settings, name, number))
    say(f"{name}/{number} is fit to serve")


@cli.command()
def activate(name: Name, version: Annotated[int, typer.Argument()], artifacts: Artifacts = None) -> None:
    """Verify a version and make it live; running services take it up."""
    store, settings = _opened(artifacts)
    read(lambda: _try(store, settings, name, version))
    _activate(store, name, version)
    say(f"{name}/{version} is live")


@cli.command()
def rollback(name: Name, artifacts: Artifacts = None) -> None:
    """Make the newest older version live that is fit to serve."""
    store, settings = _opened(artifacts)
    live = read(lambda: store.current(name))
    for version in sorted((v for v in read(lambda: store.versions(name)) if v < live), reverse=True):
        try:
            _try(store, settings, name, version)
        except ArtifactError as error:
            remark(f"skipped: {error}")
            continue
        except OSError as error:
            fail(f"the store cannot be read: {reason_of(error)}")
        _activate(store, name, version)
        say(f"{name}/{version} is live instead of {name}/{live}")
        return
    fail(f"there is no version of {name} before {live} that is fit to serve")


@cli.command()
def label(
    name: Name,
    version: Annotated[int, typer.Argument()],
    label: Annotated[Label, typer.Argument(help="stable or canary.")],
    artifacts: Artifacts = None,
) -> None:
    """Verify a version and give it a label. Running services take it up, and give a canary its share."""
    store, settings = _opened(artifacts)
    read(lambda: _try(store, settings, name, version))
    with _publishing(store, name, label):
        store.label(name, version, label)
    say(f"{name}/{version} is {label}")


@cli.command()
def unlabel(
    name: Name,
    label: Annotated[Label, typer.Argument(help="stable or canary.")],
    artifacts: Artifacts = None,
) -> None:
    """Take a label away; a canary gets no share any more."""
    store, _ = _opened(artifacts)
    read(lambda: check_name(name))
    if label not in read(lambda: store.labels(name)):
        fail(unpointed(name, label))
    with _publishing(store, name, label):
        store.unlabel(name, label)
    say(f"no version of {name} is {label} any more")


@cli.command()
def promote(name: Name, artifacts: Artifacts = None) -> None:
    """Verify the canary and make it live. The version that was live becomes stable.

    Wherever it is broken off, what is live is whole, and doing it again ends it.
    """
    store, settings = _opened(artifacts)
    canary = read(lambda: store.pointed(name, CANARY))
    read(lambda: _try(store, settings, name, canary))
    with _publishing(store, name, CURRENT_FILE):
        live = live_version(store, name)
        if live is not None and live != canary:
            store.label(name, live, STABLE)
        store.activate(name, canary)
        store.unlabel(name, CANARY)
    instead = f" instead of {name}/{live}, which is stable" if live not in (None, canary) else ""
    say(f"{name}/{canary} is live{instead}; there is no canary any more")


@cli.command()
def sign(
    name: Name,
    key: Annotated[Path, typer.Option(help="Private key, made by `python -m training keys`.")],
    version: Annotated[int | None, typer.Argument(help="By default the live one.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Sign every version that is fit to serve.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Also where another key has signed.")] = False,
    artifacts: Artifacts = None,
) -> None:
    """Verify published versions and sign them. Services that trust the key take them up."""
    store, settings = _opened(artifacts)
    if every and version is not None:
        raise typer.BadParameter("--all signs every version, and none can be named with it")
    try:
        signing = SigningKey(key)
    except KeyUnusable as error:
        raise typer.BadParameter(str(error)) from error
    unsigned = settings.model_copy(update={"trusted_keys": None})
    chosen = version if version is not None else read(lambda: store.current(name))
    unfit = False
    for number in read(lambda: store.versions(name)) if every else [chosen]:
        try:
            _try(store, unsigned, name, number)
            new = sign_published(store, name, number, signing, replace, settings.max_model_bytes)
        except ArtifactError as error:
            unfit = True
            remark(f"Error: not signed: {error}")
        except OSError as error:
            fail(f"{name}/{number} cannot be signed: {reason_of(error)}")
        else:
            say(f"{name}/{number} is signed{'' if new else ' already'}")
    if unfit:
        raise typer.Exit(1)


def _opened(artifacts: str | None) -> tuple[ArtifactStore, Settings]:
    try:
        settings = located(read_settings(**({} if artifacts is None else {"artifacts": artifacts})))
    except SettingsUnusable as error:
        raise typer.BadParameter(str(error)) from error
    place = settings.artifacts
    if isinstance(place, str):
        if extra := missing_extra(place):
            raise typer.BadParameter(f"{place} needs the extra: {installing(extra)}")
    elif not os.path.isdir(place):  # Path's raises where one may not look
        raise typer.BadParameter(f"{place} is no folder")
    try:
        trusted_by(settings)
    except KeyUnusable as error:
        raise typer.BadParameter(f"SERVICE_TRUSTED_KEYS: {error}") from error
    return store_of(settings), settings


def _try(store: ArtifactStore, settings: Settings, name: str, version: int) -> None:
    """Load a version as the service would. Raises ArtifactError."""
    check_name(name)
    store.folder(name, version)  # one that is kept elsewhere is brought here
    try_version(store.root, settings, name, version)


def read(function: Callable[[], T]) -> T:
    """What `function` reads of the store, or the end with its reason."""
    try:
        return function()
    except ArtifactError as error:
        fail(str(error))
    except OSError as error:
        fail(f"the store cannot be read: {reason_of(error)}")


def _activate(store: ArtifactStore, name: str, version: int) -> None:
    with _publishing(store, name, CURRENT_FILE):
        store.activate(name, version)


@contextmanager
def _publishing(store: ArtifactStore, name: str, pointer: str) -> Iterator[Path]:
    """Hold the publishers' lock, so that none compares what it publishes with what is live meanwhile."""
    try:
        with store.publishing(name) as folder:
            yield folder
    except ArtifactError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{name}/{pointer} cannot be written: {error.strerror}")
