"""What a table's target is: classes, yes or no, or an amount, found in its values or as said."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from service.artifacts.interface import MAX_LABELS, Output
from service.artifacts.manifest import printable
from training.data import NUMBER, DataUnavailable
from training.tabular.table_file import Table
from training.tabular.table_rows import LONGEST_TEXT

# Whole numbers of so few values are names of classes, unless it is said that they are numbers.
FEW_CLASSES = 20
DECISION_THRESHOLD = 0.5
MOST = 1e30  # a sum of several stays within a float32

# What says no and yes, in small letters.
NO_AND_YES = ({"0", "1"}, {"0.0", "1.0"}, {"no", "yes"}, {"false", "true"}, {"n", "y"}, {"f", "t"})
YES = frozenset({"1", "1.0", "yes", "true", "y", "t"})
NO = frozenset({"0", "0.0", "no", "false", "n", "f"})

Task = Literal["auto", "classes", "binary", "regression"]


@dataclass(frozen=True)
class Target:
    """What is to be answered: `values` i64 or f64 [N, 1], and how an answer says it."""

    values: Tensor
    output: Output


def target_of(
    table: Table, name: str, task: Task, positive: str | None, threshold: float, units: str
) -> Target:
    """What the column of the target is, found in it or as said. Raises DataUnavailable."""
    texts = table.target
    counts = Counter(texts)
    if len(counts) < 2:
        raise DataUnavailable(f"the column {name} holds the same in every row")
    if task == "regression" or (task == "auto" and _are_amounts(table, counts)):
        if not table.target_is_numeric:
            raise DataUnavailable(f"the column {name} holds text, which is no amount: leave --task out")
        values = torch.tensor([float(text.replace(",", ".")) for text in texts], dtype=torch.float64)
        if values.abs().max() > MOST:
            raise DataUnavailable(
                f"the column {name} has numbers above {MOST:g}; give them in larger units"
            )
        _check_options("numbers", units="", positive=positive, threshold=threshold)
        return Target(values.unsqueeze(1), Output(kind="numbers", labels=(name,), units=units))
    yes = positive if positive is not None else _yes_of(counts)
    if task == "binary" or (task == "auto" and yes is not None and len(counts) == 2):
        if len(counts) != 2 or yes not in counts:
            raise DataUnavailable(
                f"the column {name} has {len(counts)} values; a binary target has 2, of which --positive"
                " names one"
            )
        _check_options("a binary target", units=units)
        values = torch.tensor([int(text == yes) for text in texts])
        return Target(values, Output(kind="binary", labels=(name,), threshold=threshold))
    if len(counts) > MAX_LABELS or len(counts) > len(texts) / 2:
        raise DataUnavailable(f"the column {name} has {len(counts):,} values for {len(texts):,} rows")
    _check_options("classes", units=units, positive=positive, threshold=threshold)
    for label in counts:
        if len(label) > LONGEST_TEXT or not label.isprintable():
            raise DataUnavailable(
                f"the column {name}: {printable(label, 60)!r} is no name of a class, which is one line of"
                f" at most {LONGEST_TEXT} characters"
            )
    labels = sorted(counts, key=_numbers_first)
    place = {label: i for i, label in enumerate(labels)}
    return Target(
        torch.tensor([place[text] for text in texts]), Output(kind="classes", labels=tuple(labels))
    )


def _are_amounts(table: Table, counts: Counter[str]) -> bool:
    if not table.target_is_numeric or len(counts) > FEW_CLASSES:
        return table.target_is_numeric
    # Programs that have no whole numbers with gaps write 1.0 for 1.
    return not all(float(text.replace(",", ".")).is_integer() for text in counts)


def _check_options(
    what: str, units: str = "", positive: str | None = None, threshold: float = DECISION_THRESHOLD
) -> None:
    """What was said that `what` has no use for would be passed over."""
    said = {"--units": units, "--positive": positive, "--threshold": threshold != DECISION_THRESHOLD}
    for option, given in said.items():
        if given:
            raise DataUnavailable(f"{option} says nothing of {what}; --task says what the target is")


def _yes_of(counts: Counter[str]) -> str | None:
    small = {text.lower() for text in counts}
    return next(text for text in counts if text.lower() in YES) if small in NO_AND_YES else None


def _numbers_first(label: str) -> tuple[bool, float, str]:
    is_number = bool(NUMBER.fullmatch(label))
    return not is_number, float(label) if is_number else 0.0, label
