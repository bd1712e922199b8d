"""A folder of pictures, or a .zip of it: which file is of which class, and of which split.

The folder that a file lies in is its class, and one above it may name a split:
`flowers/train/daisy/0001.jpg`. An archive in the folder is read as if it were unpacked there, and may name
a split as well: `train.zip`.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from service.pictures.folders import files_in, is_hidden
from training.data import DataUnavailable

Split = Literal["train", "validation", "test"]
TRAIN: Split = "train"
VALIDATION: Split = "validation"
TEST: Split = "test"
SPLITS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
SUFFIXES = frozenset({".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
# What a file, or a record of a .zip that is damaged, encrypted or compressed otherwise, ends with.
UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


class PictureFile(NamedTuple):
    """One file: `read` gives its bytes, and may raise OSError or what zipfile ends with.

    `label`: empty where its folder is called as a split is, and may have been meant for a class.
    """

    path: str
    label: str
    split: Split | None
    size: int
    read: Callable[[], bytes]


def picture_files(data: Path) -> list[PictureFile]:
    """All pictures that lie in a folder, in the order of their paths. Raises DataUnavailable."""
    try:
        if data.is_dir():
            found = list(_of_folder(data))
        elif zipfile.is_zipfile(data):
            found = list(_of_zip(data, None))
        else:
            raise DataUnavailable(f"{data} is neither a folder nor a .zip")
    except OSError as error:
        raise DataUnavailable(f"{error.filename or data} cannot be read: {error.strerror}") from error
    if not any(file.label for file in found):
        raise DataUnavailable(
            f"{data} has no pictures in subfolders; each class needs a folder of its own, such as"
            f" {data.name}/cat/1.jpg"
        )
    return sorted(found, key=lambda file: file.path)


def _of_folder(folder: Path) -> Iterator[PictureFile]:
    for path in files_in(folder):
        if path.suffix.lower() == ".zip" and path.parent == folder:
            yield from _of_zip(path, SPLITS.get(path.stem.lower()))
        elif path.suffix.lower() in SUFFIXES:
            inside = PurePosixPath(*path.relative_to(folder).parts)
            size = path.stat().st_size if path.exists() else 0
            yield from _picture(inside, None, size, path.read_bytes)


def _of_zip(path: Path, split: Split | None) -> Iterator[PictureFile]:
    try:
        archive = zipfile.ZipFile(path)  # stays open for as long as one of its files may be read
        for record in archive.infolist():
            inside = PurePosixPath(record.filename)
            if not record.is_dir() and inside.suffix.lower() in SUFFIXES:
                yield from _picture(inside, split, record.file_size, partial(archive.read, record))
    except zipfile.BadZipFile as error:
        raise DataUnavailable(f"{path} is no .zip that can be read: {error}") from error


def _picture(
    inside: PurePosixPath, split: Split | None, size: int, read: Callable[[], bytes]
) -> Iterator[PictureFile]:
    """Nothing where it lies in no folder, or is what systems leave beside files."""
    above = inside.parts[:-1]
    if not above or any(map(is_hidden, inside.parts)):
        return
    label = "" if above[-1].lower() in SPLITS else above[-1]
    named = [SPLITS[part.lower()] for part in above[:-1] if part.lower() in SPLITS]
    yield PictureFile(str(inside), label, named[-1] if named else split, size, read)
