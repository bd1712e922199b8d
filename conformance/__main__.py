"""`python -m conformance URL`: does the server there speak the Open Inference Protocol?

Exit status: 0 where all rows pass or are skipped, 1 where one fails, 2 for a wrong call or a server that
cannot be reached.
"""

from pathlib import Path
from typing import Annotated

import typer

from conformance.client import Client, Unreachable
from conformance.report import as_json, show
from conformance.samples import SampleUnusable, from_file
from conformance.subject import NoModel, meet
from conformance.suite import run

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def check(
    url: Annotated[str, typer.Argument(help="The server, such as http://127.0.0.1:8000.")],
    model: Annotated[str | None, typer.Option(help="By default the first of the repository index.")] = None,
    sample: Annotated[
        Path | None,
        typer.Option(help="A request in JSON that the model answers, where metadata tell too little."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 10.0,
) -> None:
    """Check every line of the Open Inference Protocol over REST, and of Triton's extensions to it."""
    try:
        given = from_file(sample) if sample else ()
        with Client(url, timeout) as client:
            client.reach()
            subject = meet(client, model, given)
            results = list(run(subject))
    except (Unreachable, NoModel, SampleUnusable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if json:
        typer.echo(as_json(results, url, subject.model))
    else:
        show(results, url, subject.model)
    raise typer.Exit(int(any(each.result == "fail" for each in results)))


if __name__ == "__main__":
    cli(prog_name="python -m conformance")
