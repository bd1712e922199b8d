"""The commands: `pass` and `digit` fit a model, `recalibrate` and `evaluate` look at one again.

Beside them `keys`; `picture`, `table`, `publish`, `export` and `convert` are where their work is.

Those that read data sets or draw import what they do it with when they are called: it takes seconds.
"""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.artifacts.signatures import SigningKey, make_keys
from service.artifacts.version_folder import read_manifest
from service.terminal import command_line, fail
from training.adoption import adopt_command
from training.digits.digit_recipe import CNN, RECIPES
from training.failures import errors_explained
from training.fitting.ranks import joined, launched
from training.options import (
    DEFAULT_OUT,
    Activate,
    Checkpoints,
    Data,
    Device,
    Epochs,
    Out,
    Resume,
    ResumeIfAny,
    Seed,
    Sign,
)
from training.pass_recipe import probability_at, train_pass
from training.pictures import picture_command
from training.preflight import checkpoint_in, device_of, publication, store_at, store_in
from training.printing import print_result
from training.publishing import convert_command
from training.publishing.activation import Activation
from training.publishing.publish import publish_again
from training.tabular import table_command

cli = command_line(no_args_is_help=True)
cli.add_typer(picture_command.cli)
cli.add_typer(table_command.cli)
cli.add_typer(adopt_command.cli)
cli.add_typer(convert_command.cli)

RecipeName = StrEnum("RecipeName", {name: name for name in RECIPES})  # type: ignore[misc]
DEFAULT_RECIPE = RecipeName(CNN.name)
BY_SEVERAL = ("digit", "picture")  # which several processes can train together
BYTES_NEEDED = {"pass": 1 << 20, "digit": 8 << 20}  # a version folder, generously


@cli.callback()
def main(context: typer.Context) -> None:
    """Fit a model and publish it as the next version, which becomes live unless the live one is better."""
    with errors_explained():
        if launched().size > 1 and context.invoked_subcommand not in BY_SEVERAL:
            fail(
                f"{context.invoked_subcommand} is the work of one process: call it without torchrun", code=2
            )


@cli.command("pass")
def pass_(
    out: Out = DEFAULT_OUT,
    csv: Annotated[Path | None, typer.Option(help="Your own records, columns hours,passed.")] = None,
    epochs: Epochs = None,
    seed: Seed = 0,
    device: Device = "cpu",
    sign: Sign = None,
    activate: Activate = None,
    resume: Resume = False,
    resume_if_any: ResumeIfAny = False,
    checkpoints: Checkpoints = None,
) -> None:
    """Logistic regression: hours studied → probability of passing."""
    console = Console()
    checkpoint = checkpoint_in(checkpoints, resume, resume_if_any)
    with errors_explained(checkpoint):
        to, told = publication(out, "pass", BYTES_NEEDED["pass"], sign, activate)
        checkpoint.check("pass", required=checkpoints is not None)
        manifest, net = train_pass(
            to,
            console,
            csv=csv,
            epochs=epochs,
            seed=seed,
            device=device_of(device),
            checkpoint=checkpoint,
        )
    w, b = net.coefficients()
    at_four = probability_at(net, 4)
    figures = {"w": f"{w:.4f}", "b": f"{b:.4f}", "P(pass | 4 hours)": f"{at_four:.4f}"}
    print_result(console, manifest, told, figures)


@cli.command()
def digit(
    out: Out = DEFAULT_OUT,
    data: Data = Path("data"),
    recipe: Annotated[RecipeName, typer.Option(help="What to train.")] = DEFAULT_RECIPE,
    epochs: Epochs = None,
    seed: Seed = 0,
    device: Device = "auto",
    sign: Sign = None,
    activate: Activate = None,
    resume: Resume = False,
    resume_if_any: ResumeIfAny = False,
    checkpoints: Checkpoints = None,
) -> None:
    """Handwritten digits, from MNIST."""
    from training.digits.digit_training import train_digit

    checkpoint = checkpoint_in(checkpoints, resume, resume_if_any)
    with errors_explained(checkpoint), joined(launched()) as ranks:
        to, told = publication(out, "digit", BYTES_NEEDED["digit"], sign, activate, ranks)
        if ranks.first:
            checkpoint.check("digit", required=checkpoints is not None)
        manifest = train_digit(
            RECIPES[recipe.value],
            to,
            data,
            ranks.console(),
            epochs=epochs,
            seed=seed,
            device=device_of(device, ranks),
            checkpoint=checkpoint if ranks.first else None,
            ranks=ranks,
        )
    if ranks.first:
        print_result(Console(), manifest, told)


@cli.command()
def recalibrate(
    version: Annotated[int | None, typer.Option(help="Of digit; by default the live one.")] = None,
    out: Out = DEFAULT_OUT,
    data: Data = Path("data"),
    refine: Annotated[
        bool, typer.Option("--refine", help="First teach the weights what today's recipe adds to MNIST.")
    ] = False,
    teacher: Annotated[
        list[int] | None,
        typer.Option(help="With --refine: a version that teaches them, too; repeatable."),
    ] = None,
    sign: Sign = None,
    activate: Activate = None,
) -> None:
    """Fit a digit model's temperature and detector anew. Its weights stay, but for --refine."""
    from training.digits.digit_republication import recalibrate_digit

    if teacher and not refine:
        raise typer.BadParameter("--teacher is for --refine")
    console = Console()
    with errors_explained():
        to, told = publication(out, "digit", BYTES_NEEDED["digit"], sign, activate)
        number = version if version is not None else to.store.current("digit")
        manifest = recalibrate_digit(number, data, to, console, refine=refine, teachers=teacher or ())
    print_result(console, manifest, told)


@cli.command("evaluate")
def evaluate_(
    name: Annotated[str, typer.Argument(help="What to evaluate: digit.")] = "digit",
    out: Out = DEFAULT_OUT,
    data: Data = Path("data"),
    version: Annotated[int | None, typer.Option(help="By default the live one.")] = None,
    digits: Annotated[
        int,
        typer.Option(min=10, max=10_000, help="Digits a cell; of other kinds, at most so many."),
    ] = 2_000,
    report: Annotated[Path, typer.Option(help="Folder for the model card and its pictures.")] = Path(
        "report"
    ),
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish the version again, with the figures and the report.")
    ] = False,
    sign: Sign = None,
    activate: Activate = None,
) -> None:
    """Read thousands of pictures as a client would send them. Ends in a table, and pages of pictures."""
    from training.digits.digit_evaluation import evaluate_digit
    from training.digits.robustness_report import print_robustness

    if name != "digit":
        raise typer.BadParameter("only digit can be evaluated")
    console = Console()
    with errors_explained():
        key = SigningKey(sign) if sign else None
        store = store_in(out, "digit", BYTES_NEEDED["digit"]) if publish else store_at(out)
        number = version if version is not None else store.current(name)
        read_manifest(store.folder(name, number))
        _write_report(report, {})
        manifest, found, files = evaluate_digit(store, number, data, digits)
        _write_report(report, files)
        print_robustness(console, found)
        typer.echo(
            f"{report / 'report.md'} is the model card; examples.png shows what was read, mistakes first"
        )
        if publish:
            activation = Activation(activate, typer.echo)
            again = publish_again(manifest, store, manifest.metrics, files, key, activation)
            typer.echo(f"Published {again.name} version {again.version}")


@cli.command()
def keys(
    out: Annotated[Path, typer.Option(help="Folder to write them to.", file_okay=False)] = Path("keys"),
) -> None:
    """Make a pair of keys. The private one signs artifacts, the service trusts the public one."""
    private, public = make_keys()
    signing, trusted = out / "signing-key.pem", out / "trusted-key.pem"
    try:
        if signing.exists():
            fail(
                f"{signing} exists; a lost signing key cannot be had again, so it is not overwritten",
                code=2,
            )
        out.mkdir(parents=True, exist_ok=True)
        with open(os.open(signing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            try:
                file.write(private)
                file.flush()
                trusted.write_bytes(public)
            except OSError:
                signing.unlink()  # half a pair is none, and would be in the way of a whole one
                raise
    except OSError as error:
        fail(f"{error.filename or out} cannot be written: {error.strerror}", code=2)
    typer.echo(f"{signing}: keep it secret; `--sign {signing}` signs what is published")
    typer.echo(f"{trusted}: `--trusted-keys {trusted}` has the service load nothing else")


def _write_report(folder: Path, files: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            (folder / Path(path).name).write_bytes(content)
    except OSError as error:
        fail(f"--report {folder} cannot be written: {error.strerror}", code=2)
