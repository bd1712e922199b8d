"""The command `convert`."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from service.artifacts.signatures import SigningKey
from service.artifacts.version_folder import read_manifest
from training.failures import errors_explained
from training.options import DEFAULT_OUT, Out, Sign
from training.preflight import check_name, store_at, store_in
from training.printing import print_result
from training.publishing.activation import Activation
from training.publishing.conversion import convert

cli = typer.Typer()


class FormatName(StrEnum):
    onnx = "onnx"


@cli.command("convert")
def convert_(
    name: Annotated[str, typer.Argument(help="Of the model.")],
    to: Annotated[FormatName, typer.Option(help="The format.")] = FormatName.onnx,
    version: Annotated[int | None, typer.Option(help="By default the live one.")] = None,
    activate: Annotated[
        bool, typer.Option("--activate", help="Make it live: services then need the extra `onnx`.")
    ] = False,
    out: Out = DEFAULT_OUT,
    sign: Sign = None,
) -> None:
    """Publish a TorchScript version again in another format, which is not live unless asked for."""
    told = list[str]()
    check_name(name)
    with errors_explained():
        key = SigningKey(sign) if sign else None
        there = store_at(out)
        number = version if version is not None else there.current(name)
        store = store_in(out, name, 2 * read_manifest(there.folder(name, number)).size_bytes)
        manifest = convert(store, name, number, to.value, key, Activation(activate, told.append))
    further = {"format": manifest.format, "converted from version": str(number)}
    print_result(Console(), manifest, told, further)
