"""Folders of pictures as rows: decoded once, brought to one size, and split."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torchvision.datasets import CIFAR10
from torchvision.transforms.functional import resize

from service.artifacts.interface import MAX_LABELS
from service.errors import ServiceError
from service.pictures.fitting import Fit
from service.pictures.images import find, open_picture
from training.data import SPLIT_SEED, DataUnavailable, Pixels, Rows
from training.data import UNREADABLE as UNREADABLE_DATA_SET
from training.pictures.picture_files import (
    TEST,
    TRAIN,
    UNREADABLE,
    VALIDATION,
    PictureFile,
    Split,
    picture_files,
)

VALIDATION_SHARE, TEST_SHARE = 0.05, 0.1  # of each class, where the folder has no such split
LEAST_PICTURES, LEAST_CLASSES, LONGEST_LABEL = 3, 2, 200
DECODING_THREADS = 2
LARGEST_FILE, LARGEST_PICTURE = 64 << 20, 100_000_000  # bytes, pixels
MOST_SKIPPED = 0.5  # share; with more that cannot be read, something else is wrong


class PictureData(NamedTuple):
    """`images_u8 [N, 3, S, S]` and places in `labels`, split; `skipped`: files left out, and why."""

    train: Rows
    validation: Rows
    test: Rows
    labels: tuple[str, ...]
    skipped: tuple[str, ...]

    def uses(self) -> tuple[tuple[str, Rows], ...]:
        return ("train", self.train), ("validate", self.validation), ("test", self.test)

    def sha256(self) -> str:
        """The digest of all pixels and labels, and of which split each belongs to."""
        digest = hashlib.sha256("\0".join(self.labels).encode())
        for rows in (self.train, self.validation, self.test):
            digest.update(rows.sha256().encode())
        return digest.hexdigest()


def load_pictures(data: Path, size: int, console: Console) -> PictureData:
    """A folder or .zip of pictures, or where torchvision keeps CIFAR-10. Raises DataUnavailable."""
    if os.path.isdir(data / CIFAR10.base_folder):  # Path's raises where one may not look
        return load_cifar10(data, size, download=False)
    found, fit = picture_files(data), Fit(size, size, 3, "crop")
    files = [file for file in found if file.label]
    with ThreadPoolExecutor(DECODING_THREADS) as threads:
        try:
            results = threads.map(partial(_read, fit=fit), files)
            read = list(track(results, "reading", len(files), console=console))
        finally:
            threads.shutdown(cancel_futures=True)  # an interruption does not wait for all the others
    kept, skipped = list[tuple[PictureFile, Pixels]](), list[str]()
    for file, pixels in zip(files, read, strict=True):
        if isinstance(pixels, str):
            skipped.append(f"{file.path}: {pixels}")
        else:
            kept.append((file, pixels))
    if len(skipped) > MOST_SKIPPED * len(files):
        raise DataUnavailable(
            f"{len(skipped):,} of the {len(files):,} pictures in {data} cannot be read, such as"
            f" {skipped[0]}"
        )
    skipped += [f"{file.path}: its folder names a split, and no class" for file in found if not file.label]
    labels = tuple(sorted({file.label for file, _ in kept}))
    places = {label: place for place, label in enumerate(labels)}
    images = torch.from_numpy(np.stack([pixels for _, pixels in kept]))
    targets = torch.tensor([places[file.label] for file, _ in kept])
    said = [file.split for file, _ in kept]
    return _checked(PictureData(*_split(Rows(images, targets), said), labels, tuple(skipped)), data)


def load_cifar10(root: Path, size: int, *, download: bool) -> PictureData:
    """CIFAR-10 (Krizhevsky 2009) as torchvision keeps it. Raises DataUnavailable."""
    try:
        parts = [CIFAR10(root, train=train, download=download) for train in (True, False)]
    except UNREADABLE_DATA_SET as error:
        cause = " ".join(str(error).split()) or "its files are damaged"
        raise DataUnavailable(f"CIFAR-10 under {root} cannot be had: {cause}") from error
    images = torch.cat([torch.from_numpy(part.data) for part in parts]).permute(0, 3, 1, 2).contiguous()
    if images.shape[2:] != (size, size):
        images = resize(images, [size, size], antialias=True)
    targets = torch.tensor([target for part in parts for target in part.targets])
    said = [split for split, part in zip((TRAIN, TEST), parts, strict=True) for _ in part.data]
    labels = tuple(parts[0].classes)
    return _checked(PictureData(*_split(Rows(images, targets), said), labels, ()), root)


def _read(file: PictureFile, fit: Fit) -> Pixels | str:
    """`u8 [3, H, W]`, as the service makes it of an upload; or why there is none."""
    if file.size > LARGEST_FILE:
        return f"the file has more than {LARGEST_FILE:,} bytes"
    try:
        picture = open_picture(file.read(), LARGEST_PICTURE)
        pixels = find(picture, fit).pixels
    except ServiceError as error:
        return error.detail
    except UNREADABLE as error:
        return " ".join(str(error).split()) or "the file cannot be read"
    return np.frombuffer(pixels, np.uint8).reshape(fit.channels, fit.height, fit.width)


def _checked(found: PictureData, data: Path) -> PictureData:
    """Raises DataUnavailable where there is too little to learn or to test."""
    labels = found.labels
    if not LEAST_CLASSES <= len(labels) <= MAX_LABELS:
        raise DataUnavailable(
            f"{data} has {len(labels):,} classes ({', '.join(labels[:3])}), each a folder;"
            f" {LEAST_CLASSES} to {MAX_LABELS:,} can be told apart"
        )
    for label in labels:
        if not label.isprintable() or len(label) > LONGEST_LABEL:
            raise DataUnavailable(f"{data}: {label!r:.60} cannot be the name of a class")
    for use, rows in found.uses():
        counts = torch.bincount(rows.targets, minlength=len(labels))
        if not counts.all():
            raise DataUnavailable(
                f"{data} has no picture of the class {labels[int(counts.argmin())]} to {use} with;"
                f" each class needs {LEAST_PICTURES} or more, or pictures in each split that there is"
            )
    return found


def _split(rows: Rows, said: Sequence[Split | None]) -> tuple[Rows, Rows, Rows]:
    """Rows to train on, to validate with, and to test with.

    A split that the folder does not have is drawn from the rows to train on, from each class alike and the
    same whatever the seed of the training.
    """
    part, targets = np.array([split or "train" for split in said], dtype=object), rows.targets.numpy()
    draw = torch.Generator().manual_seed(SPLIT_SEED)
    for split, share in ((TEST, TEST_SHARE), (VALIDATION, VALIDATION_SHARE)):
        if split in part:
            continue
        for label in range(targets.max() + 1):
            of_class = np.flatnonzero((part == TRAIN) & (targets == label))
            order = torch.randperm(len(of_class), generator=draw).numpy()
            part[of_class[order[: max(1, round(share * len(of_class)))]]] = split
    train, validation, test = (
        rows.take(torch.from_numpy(np.flatnonzero(part == split))) for split in (TRAIN, VALIDATION, TEST)
    )
    return train, validation, test
