"""The commands `publish` and `export`."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer
from pydantic import ValidationError
from rich.console import Console

from service.artifacts.interface import MAX_SIDE, Column, PictureInput, TableInput
from service.artifacts.manifest import printable
from service.artifacts.signatures import SigningKey
from training.adoption.adopt import Adopted, adopt
from training.adoption.examples import Examples, drawn_pictures, drawn_rows, pictures_in, rows_in
from training.adoption.mlflow_registry import SCHEME, blank, download, torchscript_of
from training.adoption.torchscript_file import archive_of, module_named, read_file, with_weights
from training.adoption.trying import Archive
from training.adoption.wrapping import IMAGENET_MEAN, IMAGENET_STD, PictureArchive, TableArchive
from training.data import DataUnavailable
from training.failures import errors_explained, fail
from training.options import DEFAULT_OUT, Activate, Out, Sign
from training.preflight import check_name, store_in
from training.publishing.activation import Activation
from training.tables import print_result

cli = typer.Typer()


class KindName(StrEnum):
    picture = "picture"
    table = "table"


class ResizeName(StrEnum):
    crop = "crop"
    stretch = "stretch"


class OutputName(StrEnum):
    classes = "classes"
    binary = "binary"
    numbers = "numbers"


class ScoresName(StrEnum):
    auto = "auto"
    logits = "logits"
    probabilities = "probabilities"


Numbers = Annotated[str | None, typer.Option(help="One number, or one a channel: 0.5 or 0.48,0.46,0.41.")]
Size = Annotated[
    int | None, typer.Option(min=1, max=MAX_SIDE, help="Of the pictures that it reads, in pixels.")
]


@cli.command()
def publish(
    file: Annotated[str, typer.Argument(help="TorchScript or torch.export; or models:/NAME/3 of MLflow.")],
    kind: Annotated[KindName, typer.Option(help="What it is asked: pictures, or rows of numbers.")],
    name: Annotated[str, typer.Option(help="Of the model: its address is /predict/NAME.")],
    labels: Annotated[Path | None, typer.Option(help="File of names of its outputs, one a line.")] = None,
    check: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures (a subfolder a class), or CSV: what it is tried on."),
    ] = None,
    size: Size = None,
    channels: Annotated[int, typer.Option(min=1, max=3, help="1: grey; 3: red, green, blue.")] = 3,
    resize: Annotated[ResizeName, typer.Option(help="How pictures get that size.")] = ResizeName.crop,
    resize_to: Annotated[
        int | None, typer.Option(min=1, help="The shorter side before the middle is cut out, such as 256.")
    ] = None,
    mean: Numbers = None,
    std: Numbers = None,
    columns: Annotated[str | None, typer.Option(help="Names of a table's columns: a,b,c.")] = None,
    target: Annotated[str | None, typer.Option(help="The column of --check that is answered.")] = None,
    output: Annotated[OutputName, typer.Option(help="What it answers.")] = OutputName.classes,
    scores: Annotated[ScoresName, typer.Option(help="Its answers; auto finds out.")] = ScoresName.auto,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Of a binary answer.")] = 0.5,
    units: Annotated[str, typer.Option(help="Of numbers that are answered, such as EUR.")] = "",
    trust: Annotated[bool, typer.Option("--trust-remote-code", help="Unpickle, which runs code.")] = False,
    out: Out = DEFAULT_OUT,
    sign: Sign = None,
    activate: Activate = None,
) -> None:
    """Publish a file of TorchScript or torch.export that you have, whoever trained it."""
    told = list[str]()
    check_name(name)
    with errors_explained(), _options_explained(), TemporaryDirectory() as folder:
        key = SigningKey(sign) if sign else None
        names = _lines(labels)
        path, origin = Path(file), ""
        if file.startswith(SCHEME):
            registered = download(file, Path(folder))
            if kind is KindName.table and not check:
                columns = columns or ",".join(registered.columns)
            example = blank(columns, channels, size)
            path, origin = torchscript_of(registered, example, _say, trust=trust), registered.origin
        net, row = read_file(path, file)
        store = store_in(out, name, 2 * path.stat().st_size)
        if kind is KindName.picture:
            if size is None:
                fail("--size is missing: how many pixels wide and high are the pictures that it reads?", 2)
            if channels == 2:
                fail("--channels 2 is neither grey (1) nor red, green and blue (3)", code=2)
            if resize_to and resize_to < size:
                fail(f"--resize-to {resize_to} is less than --size {size}, which is cut out of it", code=2)
            reads = PictureInput(
                height=size,
                width=size,
                channels=3 if channels == 3 else 1,
                resize=resize.value,
                resize_to=resize_to if resize is ResizeName.crop else None,
            )
            means, stds = _normalisation(mean, std, channels)
            wrap: Callable[[str], Archive] = partial(PictureArchive, net, means, stds)
            examples = pictures_in(check, reads) if check else drawn_pictures(reads)
            said_input: PictureInput | TableInput = reads
        else:
            said_input, examples = _table(check, columns, target)
            wrap = partial(TableArchive, net)
        if not check:
            typer.echo("without --check it is tried on rows that are drawn at random")
        said = Adopted(
            name=name,
            kind=kind.value,
            input=said_input,
            output=output.value,
            labels=names,
            scores=scores.value,
            threshold=threshold,
            units=units,
            wrap=wrap,
            origin=origin or ("a file of torch.export" if row else "a TorchScript file"),
            row=row,
        )
        manifest = adopt(said, examples, store, _say, key, Activation(activate, told.append))
    print_result(Console(), manifest, {})
    typer.echo("\n".join(told))


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
        data = archive_of(net, example, _say, trace=trace)
        try:
            output.write_bytes(data)
        except OSError as error:
            fail(f"--output {output} cannot be written: {error.strerror}", code=2)
    kind = "table --columns NAMES" if columns else f"picture --size {size or 'PIXELS'}"
    command = f"python -m training publish {shlex.quote(str(output))} --name NAME --kind {kind}"
    typer.echo(f"{output}: {len(data):,} bytes; next: {command}")


def _table(check: Path | None, columns: str | None, target: str | None) -> tuple[TableInput, Examples]:
    names = [name.strip() for name in (columns or "").split(",") if name.strip()]
    if twice := {name for name in names if names.count(name) > 1}:
        fail(f"--columns names {min(twice)!r:.60} twice", code=2)
    if check:
        found = rows_in(check, target, names)
        return TableInput(columns=found.columns), found.examples
    if not names:
        fail("--columns or --check is missing: what are the columns called?", code=2)
    return TableInput(columns=tuple(Column(name=n) for n in names)), drawn_rows(len(names))


def _normalisation(mean: str | None, std: str | None, channels: int) -> tuple[list[float], list[float]]:
    if mean is None and std is None and channels == 3:
        _say("pictures are normalised as ImageNet's are; --mean 0 --std 1 leaves them at 0 to 1")
        return list(IMAGENET_MEAN), list(IMAGENET_STD)
    if (mean is None) != (std is None):
        missing, given = ("--std", "--mean") if std is None else ("--mean", "--std")
        fail(f"{missing} is missing: it belongs to {given}", code=2)
    if mean is None:
        _say("grey pictures are read as 0 to 1; --mean and --std normalise them")
    return _numbers("--mean", mean or "0", channels), _numbers("--std", std or "1", channels)


def _numbers(option: str, text: str, channels: int) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if (
        len(numbers) not in (1, channels)
        or not all(map(isfinite, numbers))
        or (option == "--std" and not all(n > 0 for n in numbers))
    ):
        fail(f"{option} {text!r:.60} is not one number, or {channels} with commas between", code=2)
    return numbers * channels if len(numbers) == 1 else numbers


def _lines(path: Path | None) -> list[str]:
    """Raises DataUnavailable."""
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataUnavailable(f"--labels {path} cannot be read: {problem}") from error
    first: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if (label := line.strip()) and first.setdefault(label, number) != number:
            raise DataUnavailable(
                f"--labels {path}, line {number}: {label!r:.60} stands in line {first[label]} too"
            )
    return list(first)


@contextmanager
def _options_explained() -> Iterator[None]:
    """What a manifest has no room for. Raises DataUnavailable."""
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise DataUnavailable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _say(line: str) -> None:
    typer.echo(printable(line), err=True)
