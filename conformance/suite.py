"""The rows in their groups, and the run over all of them."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from conformance.row import Failed, Result, Row, Skipped
from conformance.rows import (
    answers,
    binary,
    binary_refusals,
    classification,
    compression,
    extensions,
    health,
    inference,
    input_refusals,
    metadata,
    refusals,
)

Groups: TypeAlias = tuple[tuple[str, tuple[Row, ...]], ...]

GROUPS: Groups = (
    ("health", health.ROWS),
    ("metadata", metadata.ROWS),
    ("inference", inference.ROWS),
    ("refusals", refusals.ROWS),
    ("inputs", input_refusals.ROWS),
    ("binary", binary.ROWS),
    ("octets", binary_refusals.ROWS),
    ("compression", compression.ROWS),
    ("classification", classification.ROWS),
    ("extensions", extensions.ROWS),
    ("answers", answers.ROWS),  # last: they look at what the others were answered
)


def run(subject: Any, groups: Groups = GROUPS) -> Iterator[Result]:
    """Every row once, in order; the subject is of the rows' kind."""
    for group, rows in groups:
        for row in rows:
            yield _result(group, row, subject)


def _result(group: str, row: Row, subject: Any) -> Result:
    try:
        row.check(subject)
    except Failed as failure:
        return Result(group, row, "fail", str(failure))
    except Skipped as skip:
        return Result(group, row, "skipped", str(skip))
    return Result(group, row, "pass")
