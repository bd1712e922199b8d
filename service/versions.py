"""`python -m service models …`: see, verify and choose what is live, in the folder of published models."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from service.manifest import ArtifactError
from service.settings import SettingsUnusable, read_settings
from service.signatures import KeyUnusable, TrustedKeys
from service.store import ArtifactStore, read_manifest

cli = typer.Typer(no_args_is_help=True, help="See, verify and choose what is live.")

Artifacts = Annotated[
    Path | None, typer.Option(help="Folder of published models. [SERVICE_ARTIFACTS]", show_default=False)
]
Name = Annotated[str, typer.Argument(help="Model, such as digit.")]


@cli.command("list")
def list_(artifacts: Artifacts = None) -> None:
    """Every published version; the live one has a star."""
    store, _ = _opened(artifacts)
    for folder in sorted(path for path in store.root.iterdir() if path.is_dir()):
        name = folder.name
        live = _current(store, name)
        for version in store.versions(name):
            typer.echo(
                f"{'*' if version == live else ' '} {name}/{version}  {_summary(store, name, version)}"
            )


@cli.command()
def verify(
    name: Name,
    version: Annotated[int | None, typer.Argument(help="By default the live one.")] = None,
    artifacts: Artifacts = None,
) -> None:
    """Load a version as the service would: signature, hash, checks. Exit code 1 when it is refused."""
    store, trusted = _opened(artifacts)
    number = version if version is not None else _known(store, name)
    _verify(store, trusted, name, number)
    typer.echo(f"{name}/{number} is fit to serve")


@cli.command()
def activate(name: Name, version: Annotated[int, typer.Argument()], artifacts: Artifacts = None) -> None:
    """Verify a version and make it live; running services take it up."""
    store, trusted = _opened(artifacts)
    _verify(store, trusted, name, version)
    store.activate(name, version)
    typer.echo(f"{name}/{version} is live")


@cli.command()
def rollback(name: Name, artifacts: Artifacts = None) -> None:
    """Make the newest version before the live one live that is fit to serve."""
    store, trusted = _opened(artifacts)
    live = _known(store, name)
    for version in sorted((v for v in store.versions(name) if v < live), reverse=True):
        try:
            _load(store, trusted, name, version)
        except ArtifactError as error:
            typer.echo(f"skipped: {error}", err=True)
            continue
        store.activate(name, version)
        typer.echo(f"{name}/{version} is live instead of {name}/{live}")
        return
    _fail(f"there is no version of {name} before {live} that is fit to serve")


def _opened(artifacts: Path | None) -> tuple[ArtifactStore, TrustedKeys | None]:
    try:
        settings = read_settings()
    except SettingsUnusable as error:
        raise typer.BadParameter(str(error)) from error
    root = artifacts or settings.artifacts
    if not root.is_dir():
        raise typer.BadParameter(f"{root} is no folder")
    try:
        trusted = TrustedKeys(settings.trusted_keys) if settings.trusted_keys else None
    except KeyUnusable as error:
        raise typer.BadParameter(f"SERVICE_TRUSTED_KEYS: {error}") from error
    return ArtifactStore(root), trusted


def _known(store: ArtifactStore, name: str) -> int:
    try:
        return store.current(name)
    except ArtifactError as error:
        _fail(str(error))


def _current(store: ArtifactStore, name: str) -> int | None:
    try:
        return store.current(name)
    except ArtifactError:
        return None


def _summary(store: ArtifactStore, name: str, version: int) -> str:
    try:
        manifest = read_manifest(store.folder(name, version))
    except ArtifactError as error:
        return f"unreadable: {error}"
    scores = ", ".join(f"{m.name} {m.value:.4f} ({m.split})" for m in manifest.metrics)
    return f"{manifest.created_at:%Y-%m-%d %H:%M}  {manifest.training.recipe}  {scores}"


def _verify(store: ArtifactStore, trusted: TrustedKeys | None, name: str, version: int) -> None:
    try:
        _load(store, trusted, name, version)
    except ArtifactError as error:
        _fail(str(error))


def _load(store: ArtifactStore, trusted: TrustedKeys | None, name: str, version: int) -> None:
    # Imported here: listing versions needs no torch.
    import torch

    from service.predict import INTERFACES
    from service.registry import Registry

    Registry(store, INTERFACES, torch.device("cpu"), trusted=trusted).load_version(name, version)


def _fail(message: str) -> NoReturn:
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(1)
