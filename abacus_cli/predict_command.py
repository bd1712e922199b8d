"""`abacus predict`: many pictures or rows, from files or a pipe, into a file that can be gone on with."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from abacus_cli.appended import OutputUnusable
from abacus_cli.bulk import NOT_SERVED, SOME_FAILED, WRONG, Bulk, reason
from abacus_cli.inputs import inputs_of
from abacus_cli.of_service import asking
from abacus_cli.outputs import files_of, output_to
from abacus_cli.table_files import STDIN, InputUnusable
from abacus_client import AbacusError, Client, InputError, Manifest
from service.terminal import command_line, fail

cli = command_line()


@cli.command()
def predict(
    model: Annotated[str, typer.Argument(help="Model, such as digit.")],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders and tables (CSV, Parquet); - or none for standard input: paths, or CSV."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="answers.csv, .jsonl or .parquet; else JSON lines to standard output."),
    ] = None,
    url: Annotated[
        str, typer.Option(help="Of the service.", envvar="ABACUS_URL")
    ] = "http://127.0.0.1:8000",
    api_key: Annotated[
        str | None, typer.Option(help="Where it asks for one.", envvar="ABACUS_API_KEY")
    ] = None,
    version: Annotated[int | None, typer.Option(help="By default the live one.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Requests at a time.")] = 4,
    batch: Annotated[int | None, typer.Option(min=1, help="Most inputs of a request.")] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Every digit of a number on a picture, as one text.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds for a request and its repetitions.")
    ] = 30,
) -> None:
    """Ask a running service about many pictures or rows.

    What the output has already is skipped, so a command that was stopped goes on when it is given again.
    Exit code 0: all is answered; 1: something failed, with its reason in the output and on standard error;
    2: the command is wrong; 3: the service cannot be asked.
    """
    if not paths and sys.stdin and sys.stdin.isatty():
        raise typer.BadParameter("Name files or folders, or pipe their paths.")
    try:
        with Client(url, api_key=api_key, timeout=timeout, concurrency=concurrency) as client:
            words = paths or [STDIN]
            inputs = inputs_of(_manifest(client, model), words, files_of(out))
            output = output_to(out, inputs.key, words)
            ask = asking(client, model, version=version, batch=batch, each=each)
            Bulk(model, inputs, output, ask).run(out)
    except (InputUnusable, OutputUnusable, InputError) as error:
        fail(str(error), WRONG)
    except BrokenPipeError:
        raise typer.Exit(SOME_FAILED) from None


def _manifest(client: Client, name: str) -> Manifest:
    try:
        model = client.model(name)
    except InputError:
        raise
    except AbacusError as error:
        fail(reason(error), NOT_SERVED)
    if model.manifest is None:
        fail(f"{name} is not ready: {model.refused or 'no version is loaded'}", NOT_SERVED)
    return model.manifest
