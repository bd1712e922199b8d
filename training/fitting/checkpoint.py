"""Checkpoints: what an interrupted training goes on from."""

import copy
import hashlib
import io
import json
import math
import os
import pickle
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from service.artifacts.files import replace_durably, write_durably
from service.engine.cpus import usable_cpus
from training.record import git_commit

FORMAT = 3
DIGEST = 12  # characters of it in a file's name
SHARE_OF_TIME = 0.05  # that each of taking and writing a state may take; short epochs are not all kept

Settings = Mapping[str, str | int | float | bool]


def settings_of(
    recipe: str, seed: int, device: torch.device, data: str, **further: str | int | float | bool
) -> Settings:
    """What tells a training from all others. `data`: the digest of what it is trained on."""
    return {"recipe": recipe, "seed": seed, "device": device.type, "data": data, **further}


class CheckpointUnusable(Exception):
    """There is nothing to resume, or it is of another training; the message says what differs."""


class _Share:
    """Something that may take a small share of the time: when it is due again follows from what it took."""

    def __init__(self) -> None:
        self._began = self._due = -math.inf

    def is_due(self) -> bool:
        return time.monotonic() >= self._due

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        now = time.monotonic()
        self._due = now + (now - self._began) / SHARE_OF_TIME


class Checkpoint:
    """The file of one training: replaced whole after an epoch, removed when its model is published.

    Its name ends in a digest of the training's settings, so those of different trainings never meet.
    `resumed` is the state that `fit` goes on from, once `open` has found it. With `if_any`, a training
    whose file is not there begins.
    """

    def __init__(
        self, folder: Path, *, resume: bool, tell: Callable[[str], object], if_any: bool = False
    ) -> None:
        self.resumed: dict[str, Any] | None = None
        self._folder = folder
        self._resume = resume
        self._if_any = if_any
        self._tell = tell
        self._path = folder
        self._settings: Settings = {}
        self._machine: Settings = {}
        self._began = time.monotonic()
        self._latest: dict[str, Any] | None = None
        self._on_disk = 0  # the epoch that the file holds
        self._taking, self._writing = _Share(), _Share()
        self._failed = False

    def check(self, name: str, *, required: bool) -> None:
        """Find out before data are read whether anything can be kept, and is there to resume.

        Raises CheckpointUnusable; where a place to keep it is not `required`, that there is none is told.
        """
        if self._resume and not self._if_any and not _newest(self._folder, name):
            raise self._nothing_to_resume(name)
        probe = self._folder / f".probe.{os.getpid()}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_durably(probe, b"")
            probe.unlink()
        except OSError as error:
            problem = f"no checkpoint can be kept in {self._folder}: {error.strerror}"
            if required:
                raise CheckpointUnusable(problem) from error
            self._tell_once(f"Warning: {problem}; --checkpoints names another folder")

    def open(self, name: str, settings: Settings) -> None:
        """Begin a training of these settings, or go back to where it was. Raises CheckpointUnusable."""
        self._settings, self._machine = dict(settings), _machine()
        digest = hashlib.sha256(json.dumps(self._settings, sort_keys=True).encode()).hexdigest()
        self._path = self._folder / f"{name}-{digest[:DIGEST]}.pt"
        if not self._resume:
            self._set_aside_what_is_there()
            return
        path = self._path if os.path.isfile(self._path) else None
        if not path and self._if_any:
            return
        path = path or _newest(self._folder, name)
        if not path:
            raise self._nothing_to_resume(name)
        content = _read(path)
        self._refuse_another_training(path, content["settings"])
        self._tell_of_another_machine(content["machine"])
        self._latest, self._on_disk = content, content["done"]
        self._began -= content["seconds"]
        self.resumed = content["state"]
        self._tell(f"{path}: going on after epoch {content['done']} of {content['epochs']}")

    @property
    def began(self) -> float:
        """When the training began, by time.monotonic(), had it not been interrupted."""
        return self._began

    def keep(self, done: int, epochs: int, state: Callable[[], dict[str, Any]]) -> None:
        """After an epoch: take its state and write it, unless that would take too much of the time."""
        if done < epochs and not self._taking.is_due():
            return
        with self._taking:
            self._latest = {
                "format": FORMAT,
                "settings": self._settings,
                "machine": self._machine,
                "seconds": time.monotonic() - self._began,
                "done": done,
                "epochs": epochs,
                "state": copy.deepcopy(state()),
            }
        if done == epochs or self._writing.is_due():
            self._write()

    def last_words(self) -> str:
        """Write what is not written yet; return what to do now that a training has ended early.

        Nothing where nothing is kept.
        """
        if self._latest and self._latest["done"] > self._on_disk:
            self._write()
        if not self._on_disk or not self._latest:
            return ""
        return (
            f"{self._path} holds epoch {self._on_disk} of {self._latest['epochs']};"
            " the same command with --resume goes on from there"
        )

    def discard(self) -> None:
        """The model is published: there is nothing to go on from any more."""
        for path in (self._path, *self._folder.glob(f".{self._path.name}.*")):
            with suppress(OSError):
                path.unlink()
        self._latest, self._on_disk = None, 0

    def _write(self) -> None:
        assert self._latest
        buffer, aside = io.BytesIO(), self._folder / f".{self._path.name}.{os.getpid()}"
        with self._writing:
            torch.save(self._latest, buffer)
            try:
                replace_durably(self._path, buffer.getvalue(), aside)
            except OSError as error:
                self._tell_once(
                    f"Warning: {self._path} cannot be written: {error.strerror}; training goes on"
                )
            else:
                self._on_disk = self._latest["done"]

    def _nothing_to_resume(self, name: str) -> CheckpointUnusable:
        return CheckpointUnusable(f"there is nothing to resume: {self._folder} has no checkpoint of {name}")

    def _tell_once(self, line: str) -> None:
        if not self._failed:
            self._tell(line)
        self._failed = True

    def _set_aside_what_is_there(self) -> None:
        previous = self._path.with_suffix(".previous")
        with suppress(OSError):
            self._path.replace(previous)
            self._tell(f"{self._path}, which --resume would have gone on from, is {previous} from now on")

    def _refuse_another_training(self, path: Path, settings: Settings) -> None:
        differences = [
            f"{name} {settings.get(name)!r} there and {self._settings.get(name)!r} here"
            for name in sorted(settings.keys() | self._settings.keys())
            if settings.get(name) != self._settings.get(name)
        ]
        if differences:
            raise CheckpointUnusable(f"{path} is of another training: {', '.join(differences)}")

    def _tell_of_another_machine(self, machine: Settings) -> None:
        changed = [
            f"{name} {value} then and {self._machine.get(name)} now"
            for name, value in machine.items()
            if value != self._machine.get(name)
        ]
        if changed:
            self._tell(f"Warning: the weights may differ in the last digits: {', '.join(changed)}")


def _newest(folder: Path, name: str) -> Path | None:
    """The checkpoint of a training of this model that was written last. Raises CheckpointUnusable."""
    try:
        # Not `*`: the name of another model may begin with this one's.
        files = [path for path in folder.glob(f"{name}-{'?' * DIGEST}.pt") if path.is_file()]
        return max(files, key=lambda path: path.stat().st_mtime_ns, default=None)
    except OSError as error:
        raise CheckpointUnusable(f"{folder} cannot be read: {error.strerror}") from error


def _machine() -> Settings:
    """What the last digits depend on."""
    threads, processors = torch.get_num_threads(), usable_cpus()
    return {
        "threads": threads,
        "processors": processors,
        "torch": str(torch.__version__),
        "commit": git_commit() or "unknown",
    }


def _read(path: Path) -> dict[str, Any]:
    """Nothing but tensors and plain values is unpickled. Raises CheckpointUnusable."""
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        known = content["format"] == FORMAT
    except OSError as error:
        raise CheckpointUnusable(f"{path} cannot be read: {error.strerror}") from error
    except (RuntimeError, ValueError, TypeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointUnusable(f"{path} is no checkpoint of a training") from error
    if not known:
        raise CheckpointUnusable(f"{path} is of another release")
    return content
