"""Rows to try a model on: pictures of a folder, rows of a CSV, or such as are drawn at random."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from service.artifacts.interface import Column, PictureInput
from service.errors import ServiceError
from service.pictures.fitting import Fit
from service.pictures.images import Upload, find, open_pictures, rows_of
from training.data import DataUnavailable
from training.tabular.table_file import read_table

MAX_PIXELS, MOST_PICTURES, DRAWN = 100_000_000, 1_000, 4


class Examples(NamedTuple):
    """`rows`, and the name of each one's class where it is known."""

    rows: Tensor
    labels: Sequence[str] | None = None


def pictures_in(folder: Path, reads: PictureInput) -> Examples:
    """Those of a folder, read as the service reads uploads; a subfolder names the class of what is in it.

    Raises DataUnavailable.
    """
    fit = Fit(reads.height, reads.width, reads.channels, reads.resize, reads.resize_to or 0)
    if not folder.is_dir():
        raise DataUnavailable(f"{folder} is no folder of pictures")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    rows, labels = list[bytes](), list[str]()
    for path in files[:MOST_PICTURES]:
        try:
            (picture,) = open_pictures([Upload(path.name, path.read_bytes())], MAX_PIXELS)
            rows.append(find(picture, fit).pixels)
        except (ServiceError, OSError) as error:
            raise DataUnavailable(f"{path}: {error}") from error
        labels.append(path.parent.name if path.parent != folder else "")
    if not rows:
        raise DataUnavailable(f"{folder} has no picture in it")
    known = labels if all(labels) else None
    return Examples(torch.from_numpy(rows_of(rows, reads.row_shape).copy()), known)


def drawn_pictures(reads: PictureInput) -> Examples:
    generator = torch.Generator().manual_seed(0)
    shape = (DRAWN, *reads.row_shape)
    return Examples(torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8))


class TableExamples(NamedTuple):
    columns: tuple[Column, ...]
    examples: Examples


def rows_in(path: Path, target: str | None) -> TableExamples:
    """The rows of a CSV of numbers; `target` names the column that is to be answered, where there is one.

    Raises DataUnavailable.
    """
    left_out: list[str] = []
    table = read_table(path, target, left_out.append)
    if left_out:
        raise DataUnavailable(f"{path}: {left_out[0]}, but a model reads all of its columns")
    if texts := [column.name for column in table.columns if column.categories]:
        raise DataUnavailable(f"{path}, column {texts[0]}: it holds text, and the model reads numbers")
    rows = torch.from_numpy(np.ascontiguousarray(table.values))
    return TableExamples(table.columns, Examples(rows, table.target if target else None))


def drawn_rows(columns: int) -> Examples:
    generator = torch.Generator().manual_seed(0)
    return Examples(torch.randn((DRAWN, columns), generator=generator))
