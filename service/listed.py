"""What is published, one version after the other: as lines, and as a table for people."""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from service.artifacts.manifest import ArtifactError, Manifest, Metric, printable
from service.artifacts.store import ArtifactStore

MOST_METRICS = 2
SPLITS = ("test", "validation", "train")  # what a model is judged by, the best first


class Listed(NamedTuple):
    """A version, and why it cannot be read where it cannot."""

    name: str
    version: int
    live: bool
    labels: list[str]
    manifest: Manifest | ArtifactError


def every_version(store: ArtifactStore) -> Iterator[Listed]:
    """Raises ArtifactError."""
    for name in store.names():
        live, labels = live_version(store, name), store.labels(name)
        for version in store.versions(name):
            named = [label for label in labels if labels[label] == version]
            yield Listed(name, version, version == live, named, _manifest(store, name, version))


def live_version(store: ArtifactStore, name: str) -> int | None:
    """The live version; None where there is none, or nobody can tell."""
    try:
        return store.current(name)
    except ArtifactError:
        return None


def unserved(store: ArtifactStore, found: Collection[Listed]) -> Iterator[str]:
    """Of each model that has versions and none that is live: why."""
    live = {one.name: False for one in found} | {one.name: True for one in found if one.live}
    for name in (name for name, is_live in live.items() if not is_live):
        try:
            yield f"{name}/{store.current(name)} is live, and is not there"
        except ArtifactError as error:
            yield str(error)


def line(one: Listed) -> str:
    star = "*" if one.live else " "
    named = "".join(f" [{label}]" for label in one.labels)
    return f"{star} {one.name}/{one.version}{named}  {_summary(one.manifest)}"


def print_table(several: Iterable[Listed]) -> None:
    """No part of a cell acts on the terminal: parts of it were written by others."""
    # Imported here: the service, of which this is a command, is started without it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("model", "version", "", "published", "kind", "recipe", "measured"):
        shown.add_column(heading, justify="right" if heading == "version" else "left")
    for one in several:
        state = " ".join((["live"] if one.live else []) + one.labels)
        cells = [one.name, str(one.version), state, *_cells(one.manifest)]
        shown.add_row(*(Text(printable(cell)) for cell in cells), style="green" if one.live else "")
    Console().print(shown)


def _cells(manifest: Manifest | ArtifactError) -> list[str]:
    if isinstance(manifest, ArtifactError):
        return ["", "", "", f"unreadable: {manifest}"]
    recipe = manifest.training.recipe if manifest.training else ""
    measured = ", ".join(f"{m.name} {m.value:.4f}" for m in _telling(manifest.metrics))
    return [f"{manifest.created_at:%Y-%m-%d %H:%M}", manifest.kind, recipe, measured]


def _telling(metrics: tuple[Metric, ...]) -> list[Metric]:
    """The first of the best split that anything was measured on."""
    for split in SPLITS:
        if of_split := [metric for metric in metrics if metric.split == split]:
            return of_split[:MOST_METRICS]
    return list(metrics[:MOST_METRICS])


def _summary(manifest: Manifest | ArtifactError) -> str:
    if isinstance(manifest, ArtifactError):
        return f"unreadable: {manifest}"
    recipe = printable(manifest.training.recipe) if manifest.training else "recipe not known"
    scores = ", ".join(f"{m.name} {m.value:.4f} ({m.split})" for m in manifest.metrics)
    return f"{manifest.created_at:%Y-%m-%d %H:%M}  {recipe}  {scores}"


def _manifest(store: ArtifactStore, name: str, version: int) -> Manifest | ArtifactError:
    try:
        return store.manifest(name, version)
    except ArtifactError as error:
        return error
