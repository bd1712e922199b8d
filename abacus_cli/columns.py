"""What the columns of an output are called: none takes the place of another.

The command has its own, `row` or `file` and `error`; then come those of an answer. What an input has beside
what is asked keeps its name, or is `given_…` where it is called as one of these.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from abacus_client import Manifest

FILE, ROW, ERROR = "file", "row", "error"

Row = Mapping[str, Any]

_SERVED_BY = frozenset({"model", "version"})
_OF_CLASSES = frozenset({"label", "confidence", "probabilities", "out_of_distribution"})
# Of all models of pictures, and of several digits: a list is given the same names whichever is asked.
_OF_PICTURES = _OF_CLASSES | {"digit", "explanation", "reason", "text", "top"}
# What begins so is a value of a list, which a table has a column for.
_OF_LISTS = ("probabilities_", "top_")


def is_of_command(names: object, key: str) -> bool:
    """Whether these are the columns of an output, or the fields of a line, known by `key`."""
    if not isinstance(names, list | dict):
        return False
    return key in names and (ERROR in names or _SERVED_BY.issubset(names))


def beside(columns: Sequence[str], manifest: Manifest) -> dict[str, str]:
    """What each of an input's columns is called beside an answer, which has a model's only column, too."""
    own = {ROW if manifest.takes_rows else FILE, ERROR}
    is_answered = _answered_by(manifest)
    echoed = manifest.columns if len(manifest.columns) == 1 else ()
    names: dict[str, str] = {}
    for column in columns:
        name = column
        while (
            name in own
            or (is_answered(name) and name not in echoed)
            or (name != column and name in columns)
        ):
            name = f"given_{name}"
        names[column] = name
    return names


def answered(shown: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Both, `shown` first. A model may call a label as the command calls a column of its own."""
    own = (next(iter(shown)), ERROR)
    return {**shown, **{f"answered_{name}" if name in own else name: answer[name] for name in answer}}


def flattened(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """`{"p": [0.1, 0.9]}` → `p_0`, `p_1`."""
    if isinstance(value, Mapping | list):
        inner = value.items() if isinstance(value, Mapping) else enumerate(value)
        for part, one in inner:
            yield from flattened(one, f"{name}_{part}" if name else str(part))
    else:
        yield name, value


def _answered_by(manifest: Manifest) -> Callable[[str], bool]:
    output = manifest.output
    if not manifest.takes_rows:
        names = _OF_PICTURES
    elif output.kind == "classes":
        names = _OF_CLASSES | {"extrapolating"}
    else:
        names = frozenset({*output.labels, "probability", "extrapolating"})
    return lambda name: name in names | _SERVED_BY or name.startswith(_OF_LISTS)
