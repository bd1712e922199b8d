"""MNIST, as torchvision keeps it, and the rows of it that are set aside."""

from pathlib import Path

import torch
from torchvision.datasets import MNIST

from training.data import SPLIT_SEED, UNREADABLE, DataUnavailable, Rows

VALIDATION_ROWS = 5_000


def load_mnist(root: Path, *, train: bool) -> Rows:
    """MNIST (LeCun, Cortes, Burges): `images_u8 [N, 1, 28, 28]`, `labels i64 [N]`.

    Reads what torchvision left under `root`, and downloads it there when it is absent.
    Raises DataUnavailable.
    """
    try:
        mnist = MNIST(root, train=train, download=True)
    except UNREADABLE as error:
        # torchvision asserts what it finds, so a damaged file often says nothing of itself.
        cause = " ".join(str(error).split()) or "its files are damaged"
        raise DataUnavailable(
            f"MNIST is not under {root} and cannot be downloaded: {cause}"
            " Point --data at a folder that holds MNIST/raw."
        ) from error
    rows = Rows(mnist.data.unsqueeze(1), mnist.targets)
    _check_mnist(rows, root, least=VALIDATION_ROWS + 1 if train else 1)
    return rows


def _check_mnist(rows: Rows, root: Path, least: int) -> None:
    """Files of MNIST's format can hold something else. Raises DataUnavailable."""
    count, problem = len(rows.inputs), ""
    if rows.inputs.shape[1:] != (1, 28, 28):
        problem = f"pictures are {list(rows.inputs.shape[2:])}, not [28, 28]"
    elif count != len(rows.targets):
        problem = f"there are {count:,} pictures and {len(rows.targets):,} labels"
    elif count < least:
        problem = f"there are {count:,} pictures, and {least:,} are needed"
    elif rows.targets.min() < 0 or rows.targets.max() > 9:
        problem = "labels are not 0 to 9"
    if problem:
        raise DataUnavailable(f"MNIST under {root} is not what it should be: {problem}")


def split_validation(rows: Rows) -> tuple[Rows, Rows]:
    """(training, validation): 5,000 rows set aside, the same whatever the seed, so that seeds compare."""
    order = torch.randperm(len(rows.inputs), generator=torch.Generator().manual_seed(SPLIT_SEED))
    return rows.take(order[VALIDATION_ROWS:]), rows.take(order[:VALIDATION_ROWS])
