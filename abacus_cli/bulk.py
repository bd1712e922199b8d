"""Many questions, one answer after the other: in order, some ahead, and each written at once."""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from abacus_cli.appended import OutputUnusable
from abacus_cli.columns import ERROR, FILE, ROW, answered
from abacus_cli.inputs import Asked, Inputs, Remaining
from abacus_cli.outputs import Output
from service.artifacts.manifest import printable
from service.starting import interrupted_at_once, interrupted_by_exception
from service.terminal import remark

MOST_SHOWN = 500
ALL_ANSWERED, SOME_FAILED, WRONG, NOT_SERVED, INTERRUPTED = 0, 1, 2, 3, 130

# What the given are answered, in order, with `model` and `version`; or why one is not. Raises Stopped.
Ask = Callable[[Iterator[Any]], Iterator[Mapping[str, Any] | str]]


class Stopped(Exception):
    """No more can be asked, of whatever is given."""


def reason(error: Exception) -> str:
    """In one line, with the first thing that is wrong where the service names it."""
    fields: Any = getattr(error, "errors", ())
    told = not fields or fields[0].message in f"{error}"
    named = "" if told else f" {fields[0].field}: {fields[0].message}"
    return printable(f"{error}{named}", MOST_SHOWN)


class Bulk:
    """What of the inputs is not in the output yet, asked about."""

    def __init__(self, model: str, inputs: Inputs, output: Output, ask: Ask) -> None:
        self._model = model
        self._output = output
        self._ask = ask
        self._under_way: deque[Asked] = deque()
        self._remaining = Remaining(inputs.asked, output.done)
        self._total = inputs.total
        self._answered = self._failed = 0

    def run(self, out: Path | None) -> NoReturn:
        """Ends with the exit code and, on standard error, what became of how many.

        Raises InputUnusable or OutputUnusable; what was answered until then is written.
        """
        code, why, remaining = ALL_ANSWERED, "", self._remaining
        try:
            interrupted_by_exception()
            self._run()
        except Stopped as stopped:
            code, why = NOT_SERVED, f"; stopped: {stopped}"
        except KeyboardInterrupt:
            code, why = INTERRUPTED, "; interrupted"
        else:
            code = SOME_FAILED if self._failed or remaining.failed_before else ALL_ANSWERED
        finally:
            interrupted_at_once()  # whoever asks twice waits for nothing
        again = "; the same command goes on" if why and out else ""
        where = f" in {out}" if out else ""
        before = f" ({remaining.failed_before:,} had failed)" if remaining.failed_before else ""
        counts = (
            f"{self._answered:,} answered{where}, {self._failed:,} failed, {remaining.skipped:,} skipped"
        )
        remark(f"{counts}{before}{why}{again}")
        raise typer.Exit(code)

    def _run(self) -> None:
        with _progress() as progress:
            task = progress.add_task(self._model, total=self._total)
            for outcome in self._ask(self._given()):
                self._take(self._under_way.popleft(), outcome, progress.console)
                if not progress.disable:
                    completed = self._answered + self._failed + self._remaining.skipped
                    progress.update(task, completed=completed)
        self._output.finish()

    def _given(self) -> Iterator[Any]:
        for one in self._remaining:
            self._under_way.append(one)
            yield one.given

    def _take(self, one: Asked, outcome: Mapping[str, Any] | str, console: Console) -> None:
        if isinstance(outcome, str):
            self._failed += 1
            self._output.done.add(one.key, failed=True)
            self._output.write({**one.shown, ERROR: outcome})
            line = printable(f"{one.key}: {outcome}", MOST_SHOWN)
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            self._answered += 1
            self._output.write(_row(one, outcome))


def _row(one: Asked, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Raises OutputUnusable: only of the live version it is known beforehand what it answers."""
    asked = one.given if isinstance(one.given, Mapping) else {}
    if twice := sorted(answer.keys() & one.shown.keys() - asked.keys() - {FILE, ROW, ERROR}):
        raise OutputUnusable(
            f"version {answer['version']} answers {twice[0]!r}, as a column beside is called: rename that"
        )
    return answered(one.shown, answer)


class Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not sys.stderr.isatty())
