"""Many questions, one answer after the other: in order, some requests ahead, and each written at once."""

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

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
from abacus_client import (
    AbacusError,
    Client,
    DigitsPrediction,
    NoAnswer,
    NotReady,
    Overloaded,
    Prediction,
    ServiceError,
    Unauthorized,
    UnexpectedAnswer,
    UnknownModel,
)
from service.artifacts.manifest import printable

MOST_SHOWN = 500
# Not of one input: the next would fare the same.
OF_THE_SERVICE = (NoAnswer, NotReady, Overloaded, Unauthorized, UnexpectedAnswer, UnknownModel)


class Stopped(Exception):
    """The service cannot be asked any longer."""


class Bulk:
    """`options`: of `Client.predict`."""

    def __init__(self, client: Client, model: str, inputs: Inputs, output: Output, **options: Any) -> None:
        self._client = client
        self._model = model
        self._output = output
        self._options = options
        self._under_way: deque[Asked] = deque()
        self.remaining = Remaining(inputs.asked, output.done)
        self._total = inputs.total
        self.answered = self.failed = 0

    def run(self) -> None:
        """Raises Stopped, InputUnusable or OutputUnusable; what was answered until then is written."""
        with _progress() as progress:
            task = progress.add_task(self._model, total=self._total)
            for outcome in self._client.predict(
                self._model, self._given(), return_errors=True, **self._options
            ):
                self._take(self._under_way.popleft(), outcome, progress.console)
                progress.update(task, completed=self.answered + self.failed + self.remaining.skipped)
        self._output.finish()

    def _given(self) -> Iterator[Any]:
        for one in self.remaining:
            self._under_way.append(one)
            yield one.given

    def _take(self, one: Asked, outcome: Prediction | AbacusError, console: Console) -> None:
        if isinstance(outcome, OF_THE_SERVICE):
            raise Stopped(reason(outcome)) from outcome
        if isinstance(outcome, AbacusError):
            self.failed += 1
            why = reason(outcome)
            self._output.done[one.key] = False
            self._output.write({**one.shown, ERROR: why})
            line = printable(f"{one.key}: {why}", MOST_SHOWN)
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            self.answered += 1
            answer = _told(outcome)
            served_by = {name: answer.pop(name) for name in ("model", "version")}
            self._output.write(_row(one, {**answer, **served_by}))


def _row(one: Asked, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Raises OutputUnusable: only of the live version it is known beforehand what it answers."""
    asked = one.given if isinstance(one.given, Mapping) else {}
    if twice := sorted(answer.keys() & one.shown.keys() - asked.keys() - {FILE, ROW, ERROR}):
        raise OutputUnusable(
            f"version {answer['version']} answers {twice[0]!r}, as a column beside is called: rename that"
        )
    return answered(one.shown, answer)


def _told(outcome: Prediction) -> dict[str, Any]:
    """All that was answered, null too: a table has the same columns in each row.

    Of several digits what holds for all of them: columns for each would be others in each row.
    """
    if not isinstance(outcome, DigitsPrediction):
        return outcome.model_dump(exclude_unset=True)
    names = ("text", "confidence", "out_of_distribution", "model", "version")
    return {name: getattr(outcome, name) for name in names}


def reason(error: AbacusError) -> str:
    """In one line, with the first thing that is wrong where the service names it."""
    fields = error.errors if isinstance(error, ServiceError) else []
    named = f"{fields[0].field}: {fields[0].message}" if fields else ""
    return printable(f"{error}" if named in f"{error}" else f"{error} {named}", MOST_SHOWN)


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
