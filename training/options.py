"""The options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

CHECKPOINTS = Path("runs")

DEFAULT_OUT = "artifacts"

Out = Annotated[
    str,
    typer.Option(
        help="Folder of published models, or their URL, such as s3://bucket/models.", envvar="TRAINING_OUT"
    ),
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's own number.")]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Same seed on a CPU, same weights.")]
Data = Annotated[
    Path,
    typer.Option(help="torchvision root with MNIST; downloaded there when absent.", envvar="TRAINING_DATA"),
]
Sign = Annotated[
    Path | None, typer.Option(help="Private key to sign with, made by `keys`.", envvar="TRAINING_SIGN")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Activate = Annotated[
    bool | None,
    typer.Option(
        "--activate/--no-activate",
        help="Make the version live, or not. By default it goes live unless the live one is better.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from where a training was interrupted.")]
ResumeIfAny = Annotated[
    bool,
    typer.Option(
        "--resume-if-any",
        help="Likewise, or begin where nothing was: for what is started again by itself.",
    ),
]
Checkpoints = Annotated[
    Path | None,
    typer.Option(
        help=f"Folder to keep what --resume goes on from.  [default: {CHECKPOINTS}]",
        envvar="TRAINING_CHECKPOINTS",
    ),
]
