"""The command `table`."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from service.terminal import remark
from training.failures import errors_explained
from training.options import DEFAULT_OUT, Activate, Out, Seed, Sign
from training.preflight import check_name, publication
from training.printing import print_result
from training.tabular.table_file import read_table
from training.tabular.table_recipe import train_table
from training.tabular.table_target import DECISION_THRESHOLD, Task

cli = typer.Typer()

BYTES_NEEDED = 8 << 20  # a version folder, generously


@cli.command()
def table(
    csv: Annotated[Path, typer.Option(help="A table with a row of names; its columns may be anything.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    name: Annotated[str, typer.Option(help="Of the model: its address is /predict/NAME.")] = "table",
    task: Annotated[Task, typer.Option(help="What the target is; by default found in it.")] = "auto",
    positive: Annotated[
        str | None, typer.Option(help="Of a binary target: the value that is true.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Of a binary target: the probability that is true.")
    ] = DECISION_THRESHOLD,
    units: Annotated[str, typer.Option(help="Of a target of numbers.")] = "",
    out: Out = DEFAULT_OUT,
    seed: Seed = 0,
    sign: Sign = None,
    activate: Activate = None,
) -> None:
    """Classes, yes or no, or a number, from columns of a CSV file."""
    console = Console()
    check_name(name)
    with errors_explained():
        to, told = publication(out, name, BYTES_NEEDED, sign, activate)
        with Progress(console=console, transient=True) as progress:
            size = 2 * csv.stat().st_size if os.path.isfile(csv) else None  # it is read twice
            reading = progress.add_task("reading", total=size)
            rows = read_table(
                csv,
                target,
                remark,
                lambda count: progress.advance(reading, count),
            )
        manifest = train_table(
            name,
            to,
            rows,
            target,
            console,
            task=task,
            positive=positive,
            threshold=threshold,
            units=units,
            seed=seed,
        )
    print_result(console, manifest, told)
