"""Folders of drawn pictures: three classes, told apart by their colour."""

import zipfile
from pathlib import Path

import numpy as np

from tests.conftest import png

COLOURS = {"blue": (20, 40, 220), "green": (30, 200, 60), "red": (210, 30, 40)}
A_CLASS = 10


def picture(label: str, number: int, width: int = 32, height: int = 32) -> bytes:
    """A PNG: the colour of its class under noise, never twice the same."""
    noise = np.random.default_rng([sorted(COLOURS).index(label), number]).integers(
        -20, 20, (height, width, 3)
    )
    return png((np.array(COLOURS[label]) + noise).clip(0, 255).astype(np.uint8))


def write(folder: Path, *splits: str, count: int = A_CLASS) -> Path:
    """`count` pictures of each class, under each of the splits if there are any."""
    for place, split in enumerate(splits or ("",)):
        for label in COLOURS:
            (folder / split / label).mkdir(parents=True)
            for number in range(count):
                (folder / split / label / f"{number:03}.png").write_bytes(
                    picture(label, 100 * place + number)
                )
    return folder


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return target
