"""The command `convert`."""

from typing import Annotated, Literal

import typer
from rich.console import Console

from service.artifacts.version_folder import read_manifest
from training.failures import errors_explained
from training.options import DEFAULT_OUT, Out, Sign
from training.preflight import check_name, publication, store_at
from training.printing import print_result
from training.publishing.conversion import convert

cli = typer.Typer()


@cli.command("convert")
def convert_(
    name: Annotated[str, typer.Argument(help="Of the model.")],
    to: Annotated[Literal["onnx"], typer.Option(help="The format, of which there is one so far.")] = "onnx",
    version: Annotated[int | None, typer.Option(help="By default the live one.")] = None,
    activate: Annotated[
        bool, typer.Option("--activate", help="Make it live: services then need the extra `onnx`.")
    ] = False,
    out: Out = DEFAULT_OUT,
    sign: Sign = None,
) -> None:
    """Publish a TorchScript version again in another format. It is not live unless asked for."""
    check_name(name, option="")
    with errors_explained():
        there = store_at(out)
        number = version if version is not None else there.current(name)
        size = read_manifest(there.folder(name, number)).size_bytes
        where, told = publication(out, name, 2 * size, sign, activate)
        manifest = convert(where, name, number, to)
    further = {"format": manifest.format, "converted from version": str(number)}
    print_result(Console(), manifest, told, further)
