"""Rows on requests that are wrong: whatever the mistake, the client is told that it is its own."""

from collections.abc import Callable

from conformance.client import Answer
from conformance.row import Failed, Row, row
from conformance.subject import Subject


def refused(clause: str, says: str) -> Callable[[Callable[[Subject], Answer]], Row]:
    """Make a wrong request a row: it passes where the answer is 4xx."""

    def of(ask: Callable[[Subject], Answer]) -> Row:
        def check(subject: Subject) -> None:
            answer = ask(subject)
            if not 400 <= answer.status < 500:
                raise Failed(f"answered {answer.in_short}")

        check.__name__ = ask.__name__
        return row(clause, says)(check)

    return of
