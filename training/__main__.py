"""`python -m training pass` and `… digit` fit a model and publish it; `… keys` makes keys to sign with."""

import os
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
from service.manifest import ArtifactError, Manifest
from service.signatures import KeyUnusable, SigningKey, make_keys
from service.store import ArtifactStore
from training.data import DataUnavailable
from training.digit_evaluation import evaluate_digit
from training.digit_recipe import CNN, RECIPES
from training.digit_training import recalibrate_digit, train_digit
from training.fit import Diverged
from training.pass_recipe import probability_at, train_pass
from training.proof import PublishFailed
from training.publish import publish_again
from training.robustness import Robustness

cli = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

RecipeName = StrEnum("RecipeName", {name: name for name in RECIPES})  # type: ignore[misc]
DEFAULT_RECIPE = RecipeName(CNN.name)

Out = Annotated[Path, typer.Option(help="Folder of published models.", envvar="TRAINING_OUT")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's own number.")]
Seed = Annotated[int, typer.Option(help="Same seed on a CPU, same weights.")]
Data = Annotated[
    Path,
    typer.Option(help="torchvision root with MNIST; downloaded there when absent.", envvar="TRAINING_DATA"),
]
Sign = Annotated[
    Path | None, typer.Option(help="Private key to sign with, made by `keys`.", envvar="TRAINING_SIGN")
]
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
    sign: Sign = None,
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
            key=SigningKey(sign) if sign else None,
        )
    w, b = net.coefficients()
    at_four = probability_at(net, 4)
    _print_result(
        console, manifest, {"w": f"{w:.4f}", "b": f"{b:.4f}", "P(pass | 4 hours)": f"{at_four:.4f}"}
    )


@cli.command()
def digit(
    out: Out = Path("artifacts"),
    data: Data = Path("data"),
    recipe: Annotated[RecipeName, typer.Option(help="What to train.")] = DEFAULT_RECIPE,
    epochs: Epochs = None,
    seed: Seed = 0,
    device: Device = "auto",
    sign: Sign = None,
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
            key=SigningKey(sign) if sign else None,
        )
    _print_result(console, manifest, {})


@cli.command()
def recalibrate(
    version: Annotated[int | None, typer.Option(help="Of digit; by default the live one.")] = None,
    out: Out = Path("artifacts"),
    data: Data = Path("data"),
    sign: Sign = None,
) -> None:
    """Publish the weights of a digit model again, its temperature and detector fitted anew."""
    with _errors_explained():
        store = _store(out)
        number = version if version is not None else store.current("digit")
        manifest = recalibrate_digit(number, store, data, SigningKey(sign) if sign else None)
    _print_result(Console(), manifest, {})


@cli.command("evaluate")
def evaluate_(
    name: Annotated[str, typer.Argument(help="What to evaluate: digit.")] = "digit",
    out: Out = Path("artifacts"),
    data: Data = Path("data"),
    version: Annotated[int | None, typer.Option(help="By default the live one.")] = None,
    digits: Annotated[int, typer.Option(min=10, max=10_000, help="Digits a cell of the matrix.")] = 2_000,
    report: Annotated[Path, typer.Option(help="Folder for the model card and its pictures.")] = Path(
        "report"
    ),
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish the version again, with the figures and the report.")
    ] = False,
    sign: Sign = None,
) -> None:
    """Read thousands of pictures as a client would send them; a table, and pages of pictures."""
    if name != "digit":
        raise typer.BadParameter("only digit can be evaluated")
    console = Console()
    with _errors_explained():
        store = _store(out)
        number = version if version is not None else store.current(name)
        manifest, found, files = evaluate_digit(store, number, data, digits)
        for path, content in files.items():
            target = report / Path(path).name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        _print_robustness(console, found)
        console.print(
            f"{report / 'report.md'} is the model card; examples.png shows what was read, mistakes first"
        )
        if publish:
            again = publish_again(
                manifest, store, manifest.metrics, files, SigningKey(sign) if sign else None
            )
            console.print(f"Published {again.name} version {again.version}")


def _print_robustness(console: Console, found: Robustness) -> None:
    table = Table(title=f"{found.digits_per_cell:,} digits a cell")
    table.add_column("factor")
    table.add_column("level")
    table.add_column("right", justify="right")
    for (factor, level), accuracy in found.cells.items():
        table.add_row(factor, level, f"{accuracy:.1%}")
    table.add_section()
    table.add_row("mean", "", f"{found.mean:.2%}")
    table.add_row("worst", "", f"{found.worst:.1%}")
    table.add_row("everything at once", "", f"{found.anything:.1%}")
    for way, accuracy in found.other_digits.items():
        table.add_row("scikit-learn's digits", way, f"{accuracy:.1%}")
    console.print(table)
    table = Table(title=f"No digits; area under the ROC curve {found.auroc:.4f}")
    table.add_column("kind")
    table.add_column("called so", justify="right")
    for kind, share in found.flagged.items():
        table.add_row(kind, f"{share:.1%}")
    table.add_section()
    table.add_row("scikit-learn's digits", f"{found.other_digits_flagged:.1%}")
    console.print(table)


@cli.command()
def keys(
    out: Annotated[Path, typer.Option(help="Folder to write them to.", file_okay=False)] = Path("keys"),
) -> None:
    """Make a pair of keys: the private one signs artifacts, the service trusts the public one."""
    private, public = make_keys()
    out.mkdir(parents=True, exist_ok=True)
    signing, trusted = out / "signing-key.pem", out / "trusted-key.pem"
    try:
        with open(os.open(signing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
    except FileExistsError:
        _fail(f"{signing} exists; a lost signing key cannot be had again, so it is not overwritten", code=2)
    trusted.write_bytes(public)
    typer.echo(f"{signing}: keep it secret; `--sign {signing}` signs what is published")
    typer.echo(f"{trusted}: `--trusted-keys {trusted}` has the service load nothing else")


@contextmanager
def _errors_explained() -> Iterator[None]:
    """Say what went wrong in one line: exit code 2 for what the caller gave, 1 for what training did."""
    try:
        yield
    except (DataUnavailable, DeviceUnavailable, KeyUnusable) as error:
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
