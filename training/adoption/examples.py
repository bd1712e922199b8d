"""Rows to try a model on: pictures of a folder, rows of a CSV, or such as are drawn at random."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.artifacts.interface import Column, PictureInput
from service.errors import ServiceError
from service.pictures.fitting import Fit
from service.pictures.folders import files_in
from service.pictures.images import find, open_picture, rows_of
from training.data import DataUnavailable
from training.tabular.table_file import read_table

MAX_PIXELS, MOST_PICTURES, DRAWN = 100_000_000, 1_000, 4


class Examples(NamedTuple):
    """`rows`, and the name of each one's class where it is known."""

    rows: Tensor
    labels: Sequence[str] | None = None


def pictures_in(folder: Path, reads: PictureInput) -> Examples:
    """The pictures of a folder, read as the service reads uploads; a subfolder names their class.

    Raises DataUnavailable.
    """
    fit = Fit(reads.height, reads.width, reads.channels, reads.resize, reads.resize_to or 0)
    try:
        if not folder.is_dir():
            raise DataUnavailable(f"{folder} is no folder of pictures")
        files = files_in(folder)
    except OSError as error:
        raise DataUnavailable(f"{error.filename} cannot be read: {error.strerror}") from error
    rows, labels = list[bytes](), list[str]()
    if len(files) > MOST_PICTURES:  # of every class some, not the first classes alone
        files = sorted(random.Random(0).sample(files, MOST_PICTURES))
    for path in files:
        try:
            picture = open_picture(path.read_bytes(), MAX_PIXELS)
            rows.append(find(picture, fit).pixels)
        except (ServiceError, OSError) as error:
            raise DataUnavailable(f"{path}: {error}") from error
        labels.append(path.parent.name if path.parent != folder else "")
    if not rows:
        raise DataUnavailable(f"{folder} has no picture in it")
    if any(labels) and not all(labels):
        stray = files[labels.index("")].name
        raise DataUnavailable(
            f"{folder}: {stray:.60} lies in no subfolder, which names its class, and others do"
        )
    known = labels if all(labels) else None
    return Examples(torch.from_numpy(rows_of(rows, reads.row_shape).copy()), known)


def drawn_pictures(reads: PictureInput) -> Examples:
    generator = torch.Generator().manual_seed(0)
    shape = (DRAWN, *reads.row_shape)
    return Examples(torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8))


class TableExamples(NamedTuple):
    columns: tuple[Column, ...]
    examples: Examples


def rows_in(path: Path, target: str | None, names: Sequence[str] = ()) -> TableExamples:
    """The rows of a CSV of numbers: its columns `names`, in that order, or all but `target`, the answer.

    Of `names`, what else is in the file may be anything; of all, a column that has no name is left out.
    Their range is not that of the training, which is not known. Raises DataUnavailable.
    """
    answer = [target] if target else []
    table = read_table(path, None, lambda _: None, only=[*names, *answer] if names else ())
    at = {column.name: i for i, column in enumerate(table.columns)}
    wanted = list(names) or [name for name in at if name != target]
    if target and target not in at:
        raise DataUnavailable(f"{path} has no column {target!r:.60}; it has {', '.join(at):.200}")
    for column in (table.columns[at[name]] for name in wanted):
        if column.categories:
            raise DataUnavailable(
                f"{path}, column {column.name}: it holds text, and the model reads numbers"
            )
        if column.optional:
            raise DataUnavailable(
                f"{path}, column {column.name}: a number is missing, and the model reads all"
            )
    rows = torch.from_numpy(table.values[:, [at[name] for name in wanted]].copy())
    if not len(rows) or not wanted:
        raise DataUnavailable(f"{path} has no rows to try a model on")
    labels = _texts(table.columns[at[target]], table.values[:, at[target]]) if target else None
    return TableExamples(tuple(Column(name=name) for name in wanted), Examples(rows, labels))


def _texts(column: Column, values: NDArray[np.float32]) -> list[str]:
    """The cells of a column, as they were written; what is missing is "". Of numbers, the shortest form."""
    if column.categories:
        return ["" if np.isnan(value) else column.categories[int(value)] for value in values]
    return ["" if np.isnan(value) else np.format_float_positional(value, trim="-") for value in values]


def drawn_rows(columns: int) -> Examples:
    generator = torch.Generator().manual_seed(0)
    return Examples(torch.randn((DRAWN, columns), generator=generator))
