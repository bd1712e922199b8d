"""The command `picture`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.artifacts.manifest import printable
from service.artifacts.signatures import SigningKey
from training.activation import Activation
from training.failures import errors_explained
from training.options import DEFAULT_OUT, Activate, Checkpoints, Device, Epochs, Out, Resume, Seed, Sign
from training.preflight import check_name, checkpoint_in, device_of, store_in
from training.tables import print_result

cli = typer.Typer()

BYTES_NEEDED = 16 << 20  # a version folder, generously
NAMES_OF_OTHERS = ("pass", "digit")
DOWNLOADED_TO = Path("data")
MOST_TOLD = 3  # files that cannot be read

Pictures = Annotated[
    Path | None,
    typer.Option(
        help="Folder, or .zip of it, with a subfolder of pictures for each class; under train/, val/ and"
        f" test/ if there are such splits. By default CIFAR-10, downloaded to {DOWNLOADED_TO}.",
    ),
]

Mirror = Annotated[
    bool,
    typer.Option(
        "--mirror/--no-mirror", help="Whether what is mirrored is of the same class: not so for letters."
    ),
]


@cli.command()
def picture(
    data: Pictures = None,
    name: Annotated[str, typer.Option(help="Of the model: its address is /predict/NAME.")] = "object",
    out: Out = DEFAULT_OUT,
    mirror: Mirror = True,
    epochs: Epochs = None,
    seed: Seed = 0,
    device: Device = "auto",
    sign: Sign = None,
    activate: Activate = None,
    resume: Resume = False,
    checkpoints: Checkpoints = None,
) -> None:
    """Pictures of anything, told apart by the folders that they lie in."""
    from training.pictures.picture_data import load_cifar10, load_pictures
    from training.pictures.picture_recipe import SIZE
    from training.pictures.picture_training import train_picture

    console, told = Console(), list[str]()
    checkpoint = checkpoint_in(checkpoints, resume)
    check_name(name, " of pictures", NAMES_OF_OTHERS)
    with errors_explained(checkpoint):
        key = SigningKey(sign) if sign else None
        store = store_in(out, name, BYTES_NEEDED)
        checkpoint.check(name, required=checkpoints is not None)
        if data:
            pictures = load_pictures(data, SIZE, console)
        else:
            pictures = load_cifar10(DOWNLOADED_TO, SIZE, download=True)
        counts = " and ".join(f"{len(rows.inputs):,} to {use}" for use, rows in pictures.uses())
        typer.echo(printable(f"{len(pictures.labels):,} classes of pictures; {counts} with"))
        for line in pictures.skipped[:MOST_TOLD]:
            typer.echo(printable(f"left out: {line}"), err=True)
        if more := pictures.skipped[MOST_TOLD:]:
            typer.echo(f"left out: {len(more):,} more", err=True)
        manifest = train_picture(
            name,
            store,
            pictures,
            console,
            mirror=mirror,
            epochs=epochs,
            seed=seed,
            device=device_of(device),
            key=key,
            activation=Activation(activate, told.append),
            checkpoint=checkpoint,
        )
    print_result(console, manifest, {})
    typer.echo("\n".join(told))
