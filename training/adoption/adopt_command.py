"""The commands `publish` and `export`."""

import os
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import torch
import typer
from rich.console import Console

from service.artifacts.interface import MAX_SIDE
from service.terminal import fail, remark
from training.adoption.adopt import Adopted, Answers, Scores, adopt
from training.adoption.adopt_options import (
    check_options,
    labels_in,
    options_explained,
    picture_input,
    picture_reading,
    table_reading,
)
from training.adoption.mlflow_registry import SCHEME, blank, download, torchscript_of
from training.adoption.torchscript_file import archive_of, module_named, read_file
from training.adoption.weights import with_weights
from training.failures import errors_explained
from training.options import DEFAULT_OUT, Activate, Out, Sign
from training.preflight import check_name, publication
from training.printing import print_result

cli = typer.Typer()

Reads = Literal["picture", "table"]
Resize = Literal["crop", "stretch"]
Numbers = Annotated[str | None, typer.Option(help="One number, or one a channel: 0.5 or 0.48,0.46,0.41.")]
Size = Annotated[
    int | None, typer.Option(min=1, max=MAX_SIDE, help="Of the pictures that it reads, in pixels.")
]


@cli.command()
def publish(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="TorchScript or torch.export; or models:/NAME/3 of MLflow.")],
    kind: Annotated[Reads, typer.Option(help="What it is asked: pictures, or rows of numbers.")],
    name: Annotated[str, typer.Option(help="Of the model: its address is /predict/NAME.")],
    labels: Annotated[Path | None, typer.Option(help="File of names of its outputs, one a line.")] = None,
    check: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures (a subfolder a class), or CSV: what it is tried on."),
    ] = None,
    size: Size = None,
    channels: Annotated[int, typer.Option(min=1, max=3, help="1: grey; 3: red, green, blue.")] = 3,
    resize: Annotated[Resize, typer.Option(help="How pictures get that size.")] = "crop",
    resize_to: Annotated[
        int | None, typer.Option(min=1, help="The shorter side before the middle is cut out, such as 256.")
    ] = None,
    mean: Numbers = None,
    std: Numbers = None,
    columns: Annotated[str | None, typer.Option(help="Names of a table's columns: a,b,c.")] = None,
    target: Annotated[str | None, typer.Option(help="The column of --check that is answered.")] = None,
    output: Annotated[Answers, typer.Option(help="What it answers.")] = "classes",
    scores: Annotated[Scores, typer.Option(help="Its answers; auto finds out.")] = "auto",
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Of a binary answer.")] = 0.5,
    units: Annotated[str, typer.Option(help="Of numbers that are answered, such as EUR.")] = "",
    trust: Annotated[bool, typer.Option("--trust-remote-code", help="Unpickle, which runs code.")] = False,
    out: Out = DEFAULT_OUT,
    sign: Sign = None,
    activate: Activate = None,
) -> None:
    """Publish TorchScript or torch.export, whoever trained it."""
    check_name(name)
    check_options(_given(context), kind, output, resize)
    with errors_explained(), options_explained(), TemporaryDirectory() as folder:
        names = labels_in(labels)
        path, origin = Path(file), ""
        if file.startswith(SCHEME):
            registered = download(file, Path(folder))
            if kind == "table" and not check:
                columns = columns or ",".join(registered.columns)
            example = blank(columns, channels, size)
            path, origin = torchscript_of(registered, example, remark, trust=trust), registered.origin
        net, row = read_file(path, file)
        if kind == "picture":
            reads = picture_input(size, channels, resize, resize_to)
            reading = picture_reading(net, reads, check, mean, std, remark)
        else:
            reading = table_reading(net, check, columns, target)
        if not check:
            typer.echo("without --check it is tried on rows that are drawn at random")
        to, told = publication(out, name, 2 * path.stat().st_size, sign, activate)
        said = Adopted(
            name=name,
            kind=kind,
            input=reading.input,
            output=output,
            labels=names,
            scores=scores,
            threshold=threshold,
            units=units,
            wrap=reading.wrap,
            origin=origin or ("a file of torch.export" if row else "a TorchScript file"),
            row=row,
        )
        manifest = adopt(said, reading.examples, to, remark)
    print_result(Console(), manifest, told)


@cli.command()
def export(
    module: Annotated[str, typer.Argument(help="MODULE:CALLABLE that makes a torch.nn.Module.")],
    output: Annotated[Path, typer.Option(help="TorchScript file to write.")] = Path("model.pt"),
    weights: Annotated[Path | None, typer.Option(help="Its state dict (torch.save).")] = None,
    size: Size = None,
    channels: Annotated[int, typer.Option(min=1, help="Of the pictures that it reads.")] = 3,
    columns: Annotated[int | None, typer.Option(min=1, help="Of the rows that it reads.")] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Keep what it does to an example, not its code; needs a size.")
    ] = False,
) -> None:
    """Make a TorchScript file of a module, which `publish` takes."""
    with errors_explained():
        net = module_named(module)
        if weights:
            net = with_weights(net, weights)
        example = None
        if columns:
            example = torch.zeros(2, columns)
        elif size:
            example = torch.zeros(2, channels, size, size)
        data = archive_of(net, example, remark, trace=trace)
        try:
            _write(output, data)
        except OSError as error:
            fail(f"--output {output} cannot be written: {error.strerror}", code=2)
    kind = "table --columns NAMES" if columns else f"picture --size {size or 'PIXELS'}"
    if not columns and channels != 3:
        kind += f" --channels {channels}"
    command = f"python -m training publish {shlex.quote(str(output))} --name NAME --kind {kind}"
    typer.echo(f"{output}: {len(data):,} bytes; next: {command}")


def _given(context: typer.Context) -> list[str]:
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: a disk that is full takes nothing of the file that was there. Raises OSError."""
    if path.exists() and not path.is_file():  # a pipe, or a device
        path.write_bytes(data)
        return
    aside = path.resolve().with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(data)
        aside.replace(path.resolve())
    finally:
        aside.unlink(missing_ok=True)
