"""What a command prints at its end: what it has published."""

from collections.abc import Mapping, Sequence

import typer
from rich.console import Console
from rich.table import Table

from service.artifacts.manifest import Manifest


def print_result(
    console: Console, manifest: Manifest, told: Sequence[str], further: Mapping[str, str] | None = None
) -> None:
    """A table of its figures, and `further` ones; then what was `told` of whether it is live."""
    title = f"Published {manifest.name} version {manifest.version}"
    table = Table(title=title)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for metric in manifest.metrics:
        table.add_row(f"{metric.name} ({metric.split}, n = {metric.n:,})", f"{metric.value:.4f}")
    for name, value in (further or {}).items():
        table.add_row(name, value)
    if manifest.training:
        table.add_row("seconds", f"{manifest.training.seconds:.1f}")
    console.print(table if table.rows else title)
    typer.echo("\n".join(told))
