"""The command `picture`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from service.terminal import remark, say
from training.data import Rows
from training.failures import errors_explained
from training.fitting.ranks import joined, launched
from training.options import (
    DEFAULT_OUT,
    Activate,
    Checkpoints,
    Device,
    Epochs,
    Out,
    Resume,
    ResumeIfAny,
    Seed,
    Sign,
)
from training.preflight import check_name, checkpoint_in, device_of, publication
from training.printing import print_result

cli = typer.Typer()

BYTES_NEEDED = 16 << 20  # a version folder, generously
NAMES_OF_OTHERS = ("pass", "digit")
DOWNLOADED_TO = Path("data")
MOST_TOLD = 3  # files that cannot be read

Pictures = Annotated[
    Path | None,
    typer.Option(
        help="Folder, or .zip of it, with a subfolder of pictures for each class; under train/, val/ and"
        f" test/ if there are such splits. By default CIFAR-10, downloaded to {DOWNLOADED_TO}"
        " or what TRAINING_DATA names.",
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
    downloads: Annotated[Path, typer.Option(hidden=True, envvar="TRAINING_DATA")] = DOWNLOADED_TO,
    name: Annotated[str, typer.Option(help="Of the model: its address is /predict/NAME.")] = "object",
    out: Out = DEFAULT_OUT,
    mirror: Mirror = True,
    epochs: Epochs = None,
    seed: Seed = 0,
    device: Device = "auto",
    sign: Sign = None,
    activate: Activate = None,
    resume: Resume = False,
    resume_if_any: ResumeIfAny = False,
    checkpoints: Checkpoints = None,
) -> None:
    """Pictures of anything, told apart by the folders they lie in."""
    from training.pictures.picture_data import load_cifar10, load_pictures
    from training.pictures.picture_recipe import SIZE
    from training.pictures.picture_training import train_picture

    checkpoint = checkpoint_in(checkpoints, resume, resume_if_any)
    check_name(name, " of pictures", NAMES_OF_OTHERS)
    with errors_explained(checkpoint), joined(launched()) as ranks:
        console = ranks.console()
        to, told = publication(out, name, BYTES_NEEDED, sign, activate, ranks)
        if ranks.first:
            checkpoint.check(name, required=checkpoints is not None)
        with ranks.first_of_machine():
            if data:
                pictures = load_pictures(data, SIZE, console)
            else:
                pictures = load_cifar10(downloads, SIZE, download=True)
        if ranks.first:
            _tell_of(len(pictures.labels), pictures.uses(), pictures.skipped)
        manifest = train_picture(
            name,
            to,
            pictures,
            console,
            mirror=mirror,
            epochs=epochs,
            seed=seed,
            device=device_of(device, ranks),
            checkpoint=checkpoint if ranks.first else None,
            ranks=ranks,
        )
    if ranks.first:
        print_result(console, manifest, told)


def _tell_of(classes: int, uses: Sequence[tuple[str, Rows]], skipped: Sequence[str]) -> None:
    counts = " and ".join(f"{len(rows.inputs):,} to {use}" for use, rows in uses)
    say(f"{classes:,} classes of pictures; {counts} with")
    for line in skipped[:MOST_TOLD]:
        remark(f"left out: {line}")
    if more := skipped[MOST_TOLD:]:
        remark(f"left out: {len(more):,} more")
