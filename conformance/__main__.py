"""`python -m conformance URL`: does the server there speak the Open Inference Protocol?

Exit status: 0 where all rows pass or are skipped, 1 where one fails, 2 for a wrong call or a server that
cannot be reached.
"""

from pathlib import Path
from typing import Annotated

import typer

from conformance.client import Client, Unreachable
from conformance.report import as_json, show
from conformance.row import Result
from conformance.samples import SampleUnusable, from_file
from conformance.subject import NoModel, Subject, meet
from conformance.suite import run

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def check(
    url: Annotated[str, typer.Argument(help="The server, such as http://127.0.0.1:8000.")],
    model: Annotated[str | None, typer.Option(help="By default the first of the repository index.")] = None,
    grpc: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The same server's gRPC service, to check it, too."),
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option(help="A request in JSON that the model answers, where metadata tell too little."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 10.0,
) -> None:
    """Check every line of the Open Inference Protocol, and of Triton's extensions to it over REST."""
    try:
        given = from_file(sample) if sample else ()
        with Client(url, timeout) as client:
            client.reach()
            subject = meet(client, model, given)
            results = list(run(subject))
            if grpc:
                results += over_grpc(grpc, timeout, subject)
    except (Unreachable, NoModel, SampleUnusable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if json:
        typer.echo(as_json(results, url, subject.model))
    else:
        show(results, url, subject.model)
    raise typer.Exit(int(any(each.result == "fail" for each in results)))


def over_grpc(address: str, timeout_s: float, subject: Subject) -> list[Result]:
    """The rows of the gRPC service, on the model that was met over REST. Raises Unreachable."""
    try:
        from conformance.rpc.channel import Channel
        from conformance.rpc.subject import RpcSubject
        from conformance.rpc.suite import GROUPS
    except ModuleNotFoundError as error:  # the rows on REST do without gRPC
        needed = "grpcio-tools, grpcio-health-checking and grpcio-reflection"
        raise Unreachable(f"--grpc needs {needed}: {error}") from error

    with Channel(address, timeout_s) as channel:
        channel.reach()
        return list(run(RpcSubject(channel, subject), GROUPS))


if __name__ == "__main__":
    cli(prog_name="python -m conformance")
