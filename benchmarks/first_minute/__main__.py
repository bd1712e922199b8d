"""`python -m benchmarks.first_minute`: measure all, print the table, or put it into a page."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.environments import NotBuilt, version
from benchmarks.first_minute.contestants import (
    CONTESTANTS,
    INSTALLED,
    OWN,
    PYTHON,
    SCANS,
    TYPESCRIPT,
    Contestant,
)
from benchmarks.first_minute.course import Course, WentWrong
from benchmarks.first_minute.given import give, tsx_into
from benchmarks.first_minute.packages import collect, link_pytorch, shown_to
from benchmarks.first_minute.table import put_into, table
from benchmarks.measure import machine
from benchmarks.process import NotStarted
from service.terminal import command_line

cli = command_line()
log = Console(stderr=True)
AIMS = (SCANS, OWN, PYTHON, TYPESCRIPT)


@cli.command()
def main(
    rounds: Annotated[int, typer.Option(min=1, help="All but the installation is done so many times.")] = 3,
    only: Annotated[list[str] | None, typer.Option(help="Names of the servers, as in the table.")] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown page whose table is replaced.")] = None,
) -> None:
    """Minutes and lines from nothing to an answer, here and with peers (under ten minutes)."""
    contestants = [one for one in CONTESTANTS if not only or one.name in only]
    if not contestants or len(contestants) < len(only or ()):
        raise typer.BadParameter(f"the servers are {', '.join(one.name for one in CONTESTANTS)}")
    try:
        text = measured(contestants, rounds)
    except (NotBuilt, NotStarted, WentWrong) as error:
        log.print(str(error), markup=False)
        raise typer.Exit(1) from error
    if page:
        put_into(page, text)
    else:
        print(text)


def measured(contestants: list[Contestant], rounds: int) -> str:
    """The table. Raises NotBuilt, NotStarted, WentWrong."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        link_pytorch(work / "pytorch")
        tsx_into(work)
        seconds: dict[str, dict[str, list[float]]] = {}
        versions: dict[str, str] = {}
        for contestant in contestants:
            of_one = seconds.setdefault(contestant.name, {})
            for aim, took in _course(contestant, rounds, work):
                log.print(f"{contestant.name}: {aim}: {took:.1f} s", highlight=False)
                of_one.setdefault(aim, []).append(took)
            python = work / contestant.folder / "environment" / "bin" / "python"
            versions[contestant.name] = version(python, contestant.package)
        return table(seconds, versions, _machine())


def _course(contestant: Contestant, rounds: int, work: Path) -> Iterator[tuple[str, float]]:
    log.print(f"{contestant.name}: packages are fetched", highlight=False)
    wheels = collect(contestant.package, work / "pytorch")
    folder = work / contestant.folder
    give(folder)
    for wheel in wheels.glob("abacus_serving-*.whl"):
        shutil.copy(wheel, folder)
    course = Course(contestant, folder, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels))
    yield INSTALLED, course.install(lambda: shown_to(folder / "environment", work / "pytorch"))
    for _ in range(rounds):
        yield from course.run(AIMS)


def _machine() -> str:
    of = machine()
    return f"{of['processors']} processors ({of['processor']}), {of['memory']}, {of['kernel']}"


if __name__ == "__main__":
    cli()
