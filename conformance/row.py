"""A row of the table: one promise of the protocol, and the check of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Check = Callable[[Any], None]  # of a Subject; raises Failed or Skipped


class Failed(Exception):
    """The server does otherwise than the row says; the text is what it did."""


class Skipped(Exception):
    """The row asks for what this server or model does not have; the text says what."""


@dataclass(frozen=True)
class Row:
    """One promise: where it is written, what it says, and how it is looked at."""

    name: str
    clause: str
    says: str
    check: Check


@dataclass(frozen=True)
class Result:
    """What came of a row: `pass`, `fail` or `skipped`."""

    group: str
    row: Row
    result: str
    reason: str = ""

    def as_json(self) -> dict[str, str]:
        return {
            "group": self.group,
            "row": self.row.name,
            "clause": self.row.clause,
            "says": self.row.says,
            "result": self.result,
            "reason": self.reason,
        }


def row(clause: str, says: str) -> Callable[[Check], Row]:
    """Make a check a row, named as the function is."""

    def of(check: Check) -> Row:
        return Row(getattr(check, "__name__", says).replace("_", "-"), clause, says, check)

    return of


def rows_in(module: Mapping[str, Any]) -> tuple[Row, ...]:
    """Those that a module defines, in its own order."""
    return tuple(value for value in module.values() if isinstance(value, Row))
