"""What the options of `publish` say of a module: what it reads, and what it is tried on."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError
from torch import nn

from service.artifacts.interface import Column, PictureInput, TableInput
from service.artifacts.manifest import first_fault
from service.terminal import fail
from training.adoption.examples import Examples, drawn_pictures, drawn_rows, pictures_in, rows_in
from training.adoption.trying import Archive
from training.adoption.wrapping import IMAGENET_MEAN, IMAGENET_STD, PictureArchive, TableArchive
from training.data import DataUnavailable

Say = Callable[[str], object]

OF_PICTURES = ("size", "channels", "resize", "resize_to", "mean", "std")
OF_TABLES = ("columns", "target")


class Reading(NamedTuple):
    """`wrap`: makes the archive, given what comes last in it."""

    input: PictureInput | TableInput
    examples: Examples
    wrap: Callable[[str], Archive]


def check_options(given: Collection[str], kind: str, output: str, resize: str) -> None:
    """What was said that the model has no use for would be passed over. `given`: names of parameters."""
    vain = dict.fromkeys(OF_TABLES if kind == "picture" else OF_PICTURES, f"--kind {kind}")
    if output != "binary":
        vain["threshold"] = f"--output {output}"
    vain["scores" if output == "numbers" else "units"] = f"--output {output}"
    if resize == "stretch":
        vain.setdefault("resize_to", "--resize stretch")
    if "check" not in given:
        vain.setdefault("target", "rows that are drawn: it is a column of --check, which is missing")
    for name, what in vain.items():
        if name in given:
            fail(f"--{name.replace('_', '-')} says nothing of {what}", code=2)


def picture_input(
    size: int | None, channels: int, resize: Literal["crop", "stretch"], resize_to: int | None
) -> PictureInput:
    if size is None:
        fail("--size is missing: how many pixels wide and high are the pictures that it reads?", 2)
    if channels == 2:
        fail("--channels 2 is neither grey (1) nor red, green and blue (3)", code=2)
    if resize_to and resize_to < size:
        fail(f"--resize-to {resize_to} is less than --size {size}, which is cut out of it", code=2)
    return PictureInput(
        height=size,
        width=size,
        channels=3 if channels == 3 else 1,
        resize=resize,
        resize_to=resize_to if resize == "crop" else None,
    )


def picture_reading(
    net: nn.Module, reads: PictureInput, check: Path | None, mean: str | None, std: str | None, say: Say
) -> Reading:
    """Raises DataUnavailable."""
    means, stds = _normalisation(mean, std, reads.channels, say)
    examples = pictures_in(check, reads) if check else drawn_pictures(reads)
    return Reading(reads, examples, partial(PictureArchive, net, means, stds))


def table_reading(net: nn.Module, check: Path | None, columns: str | None, target: str | None) -> Reading:
    """Raises DataUnavailable."""
    names = [name.strip() for name in columns.split(",")] if columns else []
    if not all(names):
        fail(f"--columns {columns!r:.60} has a name that is empty", code=2)
    if twice := {name for name in names if names.count(name) > 1}:
        fail(f"--columns names {min(twice)!r:.60} twice", code=2)
    if check:
        found = rows_in(check, target, names)
        return Reading(TableInput(columns=found.columns), found.examples, partial(TableArchive, net))
    if not names:
        fail("--columns or --check is missing: what are the columns called?", code=2)
    table = TableInput(columns=tuple(Column(name=name) for name in names))
    return Reading(table, drawn_rows(len(names)), partial(TableArchive, net))


def _normalisation(
    mean: str | None, std: str | None, channels: int, say: Say
) -> tuple[list[float], list[float]]:
    if mean is None and std is None and channels == 3:
        say("pictures are normalised as ImageNet's are; --mean 0 --std 1 leaves them at 0 to 1")
        return list(IMAGENET_MEAN), list(IMAGENET_STD)
    if (mean is None) != (std is None):
        missing, given = ("--std", "--mean") if std is None else ("--mean", "--std")
        fail(f"{missing} is missing: it belongs to {given}", code=2)
    if mean is None:
        say("grey pictures are read as 0 to 1; --mean and --std normalise them")
    return _numbers("--mean", mean or "0", channels), _numbers("--std", std or "1", channels)


def _numbers(option: str, text: str, channels: int) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if (
        len(numbers) not in (1, channels)
        or not all(map(isfinite, numbers))
        or (option == "--std" and not all(n > 0 for n in numbers))
    ):
        fail(f"{option} {text!r:.60} is not one number, or {channels} with commas between", code=2)
    if any(abs(n) > 1 for n in numbers):
        fail(
            f"{option} {text!r:.60} is more than 1, and pictures are normalised once they are 0 to 1:"
            " where it is of 0 to 255, divide both --mean and --std by 255",
            code=2,
        )
    return numbers * channels if len(numbers) == 1 else numbers


def labels_in(path: Path | None) -> list[str]:
    """Raises DataUnavailable."""
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataUnavailable(f"--labels {path} cannot be read: {problem}") from error
    if not any(map(str.strip, lines)):
        raise DataUnavailable(f"--labels {path} names nothing: it is to have a label a line")
    first: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if (label := line.strip()) and first.setdefault(label, number) != number:
            raise DataUnavailable(
                f"--labels {path}, line {number}: {label!r:.60} stands in line {first[label]} too"
            )
    return list(first)


@contextmanager
def options_explained() -> Iterator[None]:
    """What a manifest has no room for. Raises DataUnavailable."""
    try:
        yield
    except ValidationError as error:
        raise DataUnavailable(first_fault(error)) from None
