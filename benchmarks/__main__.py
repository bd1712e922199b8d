"""`python -m benchmarks`: measure this service and its peers, write the page and the chart."""

import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.load import LoadFailed, ensure_wrk
from benchmarks.measure import Bench
from benchmarks.report import write
from benchmarks.results import Results
from benchmarks.scenarios import HEADLINE
from benchmarks.servers import ON_A_GPU, QUICK, SERVERS
from benchmarks.targets import targets
from service.terminal import command_line

cli = command_line(no_args_is_help=True)
console = Console()

PAGE, CHART = Path("docs/benchmarks.md"), Path("docs/images/benchmarks.png")
Seconds = Annotated[int, typer.Option(min=1, help="Length of one load, in seconds.")]
Rounds = Annotated[int, typer.Option(min=1, help="Every server is started and measured so many times.")]


@cli.command()
def run(
    rounds: Rounds = 5,
    seconds: Seconds = 3,
    only: Annotated[
        list[str] | None, typer.Option(help="Names of the servers to measure, as in the report.")
    ] = None,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Names of the scenarios to measure, as in the report.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the raw results go, as JSON.")] = Path(
        "benchmarks.json"
    ),
    page: Annotated[Path | None, typer.Option(help="Where the report goes; by default nowhere.")] = None,
    chart: Annotated[Path, typer.Option(help="Where the report's chart goes.")] = CHART,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Measure this service, the limits and the peers, and compare."""
    asked = {s.name for server in SERVERS for s in server.scenarios}
    for what, names, there in (("server", only, {s.name for s in SERVERS}), ("scenario", scenario, asked)):
        if unknown := set(names or []) - there:
            raise typer.BadParameter(f"there is no {what} {', '.join(sorted(unknown))}")
    results = _measure(tuple(only or ()), rounds, seconds, device, tuple(scenario or ()))
    output.write_text(results.model_dump_json(indent=1))
    if page:
        write(results, page, chart)


@cli.command()
def quick(rounds: Rounds = 2, seconds: Seconds = 2) -> None:
    """Measure this service and plain FastAPI, in under three minutes."""
    _measure(QUICK, rounds, seconds, "cpu")


@cli.command()
def gpu(rounds: Rounds = 3, seconds: Seconds = 3) -> None:
    """Measure this service and plain FastAPI on a CUDA device."""
    if not torch.cuda.is_available():
        console.print("There is no CUDA device on this machine.")
        raise typer.Exit(2)
    _measure(ON_A_GPU, rounds, seconds, "cuda")


@cli.command()
def report(results: Path, page: Path = PAGE, chart: Path = CHART) -> None:
    """Write the page and the chart again from the raw RESULTS."""
    write(Results.model_validate_json(results.read_text()), page, chart)


def _measure(
    only: tuple[str, ...], rounds: int, seconds: int, device: str, scenarios: tuple[str, ...] = ()
) -> Results:
    servers = [server.asked(scenarios) for server in SERVERS if not only or server.name in only]
    servers = [server for server in servers if server.scenarios]
    try:
        ensure_wrk()
    except LoadFailed as error:
        console.print(str(error))
        raise typer.Exit(2) from error
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, tempfile.TemporaryDirectory() as folder:
        task = progress.add_task("preparing", total=None)
        bench = Bench(Path(folder), seconds, device)
        results = bench.run(servers, rounds, lambda what: progress.update(task, description=what))
    for server in servers:
        speed = results.per_second(server.title, HEADLINE.name)
        reason = results.not_measured.get(server.title, "").strip().splitlines()[-1:]
        figure = f"{speed:8,.0f} requests/s" if speed else f"not measured: {reason}"
        console.print(f"{server.title:36} {figure}", highlight=False)
    for target in targets(results):
        if target.measured is not None:
            figures = f"{target.measured:6.2f}  {target.bar:7} {target.verdict}"
            console.print(f"{target.what:72} {figures}", highlight=False)
    return results


if __name__ == "__main__":
    cli()
