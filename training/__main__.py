"""`python -m training pass` and `python -m training digit`: fit a model and publish it."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from service.devices import resolve_device
from service.errors import DeviceUnavailable
from service.manifest import ArtifactError, ArtifactStore, Manifest
from training.data import DataUnavailable
from training.digit_recipe import CNN, RECIPES, train_digit
from training.fit import Diverged
from training.pass_recipe import probability_at, train_pass
from training.publish import PublishFailed

cli = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

RecipeName = StrEnum("RecipeName", {name: name for name in RECIPES})  # type: ignore[misc]
DEFAULT_RECIPE = RecipeName(CNN.name)

Out = Annotated[Path, typer.Option(help="Folder of published models.", envvar="TRAINING_OUT")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's own number.")]
Seed = Annotated[int, typer.Option(help="Same seed on a CPU, same weights.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


@cli.callback()
def main() -> None:
    """Fit a model and publish it as the next version, which becomes the live one."""


@cli.command("pass")
def pass_(
    out: Out = Path("artifacts"),
    csv: Annotated[Path | None, typer.Option(help="Your own records, columns hours,passed.")] = None,
    epochs: Epochs = None,
    seed: Seed = 0,
    device: Device = "cpu",
) -> None:
    """Logistic regression: hours studied → probability of passing."""
    console = Console()
    with _errors_explained():
        manifest, net = train_pass(
            _store(out),
            console,
            csv=csv,
            epochs=epochs,
            seed=seed,
            device=resolve_device(device),
        )
    w, b = net.coefficients()
    at_four = probability_at(net, 4)
    _print_result(
        console, manifest, {"w": f"{w:.4f}", "b": f"{b:.4f}", "P(pass | 4 hours)": f"{at_four:.4f}"}
    )


@cli.command()
def digit(
    out: Out = Path("artifacts"),
    data: Annotated[
        Path,
        typer.Option(
            help="torchvision root with MNIST; downloaded there when absent.", envvar="TRAINING_DATA"
        ),
    ] = Path("data"),
    recipe: Annotated[RecipeName, typer.Option(help="What to train.")] = DEFAULT_RECIPE,
    epochs: Epochs = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Handwritten digits, from MNIST."""
    console = Console()
    with _errors_explained():
        manifest = train_digit(
            RECIPES[recipe.value],
            _store(out),
            data,
            console,
            epochs=epochs,
            seed=seed,
            device=resolve_device(device),
        )
    _print_result(console, manifest, {})


@contextmanager
def _errors_explained() -> Iterator[None]:
    """Say what went wrong in one line: exit code 2 for what the caller gave, 1 for what training did."""
    try:
        yield
    except (DataUnavailable, DeviceUnavailable) as error:
        _fail(str(error), code=2)
    except (Diverged, PublishFailed, ArtifactError) as error:
        _fail(str(error), code=1)


def _store(out: Path) -> ArtifactStore:
    """The store to publish into; one that cannot be written is refused before training, not after."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        _fail(f"--out {out} cannot be written: {error.strerror}", code=2)
    return ArtifactStore(out)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(code)


def _print_result(console: Console, manifest: Manifest, extra: dict[str, str]) -> None:
    table = Table(title=f"Published {manifest.name} version {manifest.version}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for metric in manifest.metrics:
        table.add_row(f"{metric.name} ({metric.split}, n = {metric.n:,})", f"{metric.value:.4f}")
    for name, value in extra.items():
        table.add_row(name, value)
    table.add_row("seconds", f"{manifest.training.seconds:.1f}")
    console.print(table)


if __name__ == "__main__":
    cli()
