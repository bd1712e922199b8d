"""Data sets as raw tensors, in the units that the service will send."""

import csv
import hashlib
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.datasets import MNIST

VALIDATION_ROWS, SPLIT_SEED = 5_000, 0

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
        with path.open(encoding="utf-8-sig", newline="") as file:
            records = csv.reader(file, strict=True)
            header = [column.strip().lower() for column in next(records, [])]
            if header != ["hours", "passed"]:
                raise DataUnavailable(f"{path}, line 1: the columns must be hours,passed")
            rows = [_hours_record(path, records.line_num, r) for r in records if r]
    except (OSError, UnicodeDecodeError) as error:
        raise DataUnavailable(f"{path} cannot be read: {error}") from error
    except csv.Error as error:
        raise DataUnavailable(f"{path} is not a CSV file: {error}") from error
    if {passed for _, passed in rows} != {0.0, 1.0}:
        raise DataUnavailable(f"{path}, column passed: there must be both 0s and 1s")
    table = torch.tensor(rows, dtype=torch.float32)
    return Rows(table[:, :1], table[:, 1:])


def _hours_record(path: Path, line: int, record: list[str]) -> tuple[float, float]:
    if len(record) != 2:
        raise DataUnavailable(f"{path}, line {line}: {len(record)} columns instead of 2")
    hours, passed = (text.strip() for text in record)
    try:
        value = float(hours)
    except ValueError:
        value = math.nan
    if not (0 <= value < math.inf):
        raise DataUnavailable(
            f"{path}, line {line}, column hours: {hours!r} is not a number of hours (0 or more)"
        )
    if passed not in ("0", "1"):
        raise DataUnavailable(f"{path}, line {line}, column passed: {passed!r} is neither 0 nor 1")
    return value, float(passed)


def load_mnist(root: Path, *, train: bool) -> Rows:
    """MNIST (LeCun, Cortes, Burges): `images_u8 [N, 1, 28, 28]`, `labels i64 [N]`.

    Reads what torchvision left under `root`, and downloads it there when it is absent.
    Raises DataUnavailable.
    """
    try:
        mnist = MNIST(root, train=train, download=True)
    except (OSError, RuntimeError, ValueError) as error:
        cause = " ".join(str(error).split())
        raise DataUnavailable(
            f"MNIST is not under {root} and cannot be downloaded: {cause}"
            " Point --data at a folder that holds MNIST/raw."
        ) from error
    return Rows(mnist.data.unsqueeze(1), mnist.targets)


def split_validation(rows: Rows) -> tuple[Rows, Rows]:
    """(training, validation): 5,000 rows set aside, the same whatever the seed, so that seeds compare."""
    order = torch.randperm(len(rows.inputs), generator=torch.Generator().manual_seed(SPLIT_SEED))
    return rows.take(order[VALIDATION_ROWS:]), rows.take(order[:VALIDATION_ROWS])
