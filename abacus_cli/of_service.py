"""What a running service answers, as rows of an output."""

from collections.abc import Iterator, Mapping
from typing import Any

from abacus_cli.bulk import Ask, Stopped, reason
from abacus_client import (
    AbacusError,
    Client,
    DigitsPrediction,
    NoAnswer,
    NotReady,
    Overloaded,
    Prediction,
    TimedOut,
    Unauthorized,
    UnexpectedAnswer,
    UnknownModel,
)

# Not of one input: the next would fare the same.
OF_THE_SERVICE = (NoAnswer, NotReady, Overloaded, TimedOut, Unauthorized, UnexpectedAnswer, UnknownModel)


def asking(client: Client, model: str, **options: Any) -> Ask:
    """`options`: of `Client.predict`."""

    def ask(given: Iterator[Any]) -> Iterator[Mapping[str, Any] | str]:
        try:
            for outcome in client.predict(model, given, return_errors=True, **options):
                if isinstance(outcome, OF_THE_SERVICE):
                    raise outcome
                yield reason(outcome) if isinstance(outcome, AbacusError) else _told(outcome)
        except OF_THE_SERVICE as error:
            raise Stopped(reason(error)) from error

    return ask


def _told(outcome: Prediction) -> dict[str, Any]:
    """All that was answered, null too: a table has the same columns in each row.

    Of several digits what holds for all of them: columns for each would be others in each row.
    """
    last = ("model", "version")
    if isinstance(outcome, DigitsPrediction):
        names = ("text", "confidence", "out_of_distribution", *last)
        return {name: getattr(outcome, name) for name in names}
    answer = outcome.model_dump(exclude_unset=True)
    return answer | {name: answer.pop(name) for name in last}
