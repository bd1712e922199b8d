"""Data sets as raw tensors, in the units that the service will send."""

import csv
import hashlib
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SPLIT_SEED = 0

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
LARGEST, SMALLEST = torch.finfo(torch.float32).max, torch.finfo(torch.float32).tiny
LONGEST_LINE = 10_000

# What torchvision ends with at files that are missing, unreadable, cut off or of another format.
UNREADABLE = (OSError, RuntimeError, ValueError, AssertionError, KeyError, EOFError, zlib.error)

Pixels = NDArray[np.uint8]


class DataUnavailable(Exception):
    """The data cannot be had or cannot be understood; the message says what to do about it."""


class Rows(NamedTuple):
    """Inputs and what they should give; the first dimension of both is the row."""

    inputs: Tensor
    targets: Tensor

    def take(self, index: Tensor) -> "Rows":
        return Rows(self.inputs[index], self.targets[index])

    def to(self, device: torch.device) -> "Rows":
        return Rows(self.inputs.to(device), self.targets.to(device))

    def one_of_each(self, classes: int) -> Tensor:
        """The first input of each of so many classes, `[classes, …]`."""
        return self.inputs[[int((self.targets == place).nonzero()[0]) for place in range(classes)]]

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for tensor in self:
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


def lecture_hours() -> Rows:
    """The lecture's three students: `hours f32 [3, 1]`, `passed f32 [3, 1]`."""
    return Rows(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.0], [0.0], [1.0]]))


def read_hours(path: Path) -> Rows:
    """A CSV of columns `hours,passed` → `hours f32 [N, 1]`, `passed f32 [N, 1]`.

    Raises DataUnavailable, naming line and column.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = _hours_records(path, csv.reader(lines(path, file), strict=True))
    except OSError as error:
        raise DataUnavailable(f"{path} cannot be read: {error.strerror}") from error
    if {passed for _, passed in rows} != {0.0, 1.0}:
        raise DataUnavailable(f"{path}, column passed: there must be both 0s and 1s")
    table = torch.tensor(rows, dtype=torch.float32)
    return Rows(table[:, :1], table[:, 1:])


def lines(path: Path, file: TextIO, longest: int = LONGEST_LINE) -> Iterator[str]:
    """Lines of bounded length and of UTF-8: a file of another kind is seen by its first."""
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        if len(line) > longest:
            raise DataUnavailable(f"{path}, line {number} is longer than {longest:,} characters")
        if not line.isascii() and any("\udc80" <= character <= "\udcff" for character in line):
            raise DataUnavailable(f"{path}, line {number} is not UTF-8; save it as CSV in UTF-8")
        yield line


def _hours_records(path: Path, records: Any) -> list[tuple[float, float]]:
    try:
        header = [column.strip().lower() for column in next(records, [])]
        if header != ["hours", "passed"]:
            found = repr(",".join(header)) if header else "empty"
            raise DataUnavailable(
                f"{path}, line 1: the columns must be hours,passed, and it is {found:.60}"
            )
        return [_hours_record(path, records.line_num, record) for record in records if record]
    except csv.Error as error:
        raise DataUnavailable(f"{path}, line {records.line_num}: not a CSV: {error}") from error


def _hours_record(path: Path, line: int, record: list[str]) -> tuple[float, float]:
    if len(record) != 2:
        raise DataUnavailable(f"{path}, line {line}: {len(record)} columns instead of 2")
    hours, passed = (text.strip() for text in record)
    # Python's own reading also takes 1_000, other scripts' digits, inf and nan.
    value = abs(float(hours)) if NUMBER.fullmatch(hours) else math.nan
    if math.isnan(value) or (hours.startswith("-") and value):
        problem = "is not a number of hours (0 or more)"
    elif value > LARGEST:
        problem = f"is more than a float32 can hold ({LARGEST:.3g})"
    elif 0 < value < SMALLEST:
        problem = f"is less than a float32 can hold ({SMALLEST:.3g}), and not 0"
    elif passed not in ("0", "1"):
        raise DataUnavailable(f"{path}, line {line}, column passed: {passed!r:.60} is neither 0 nor 1")
    else:
        return value, float(passed)
    raise DataUnavailable(f"{path}, line {line}, column hours: {hours!r:.60} {problem}")
