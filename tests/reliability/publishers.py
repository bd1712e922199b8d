"""Publishers into a store of objects that are killed, and what they leave there."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

from service.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, ArtifactError
from service.artifacts.remote.objects import Objects
from service.artifacts.remote.store import RemoteStore
from tests.conftest import ROOT
from tests.reliability import remote_publisher


class Publishers:
    """Publications, one after the other, each a process. `durations`: what its steps take, in seconds."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        moments = json.loads(self._said(0))
        assert self._ended() == 0
        self.durations = [later - earlier for earlier, later in pairwise(moments)]

    def killed(self, times: int) -> Iterator[int]:
        """The step at which one was killed, so many times: all alike, and at a random moment of each."""
        moments = random.Random(0)
        for number in range(times):
            step = number * len(self.durations) // times
            while True:
                publisher = int(self._said(step + 1))
                time.sleep(moments.uniform(0, self.durations[step]))
                with suppress(ProcessLookupError):  # where it has ended by then
                    os.kill(publisher, signal.SIGKILL)
                if self._ended() == -signal.SIGKILL:
                    break
            yield step

    def _said(self, step: int) -> str:
        assert self._process.stdin
        self._process.stdin.write(f"{step}\n")
        self._process.stdin.flush()
        return self._line()

    def _ended(self) -> int:
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


@contextmanager
def publishers(url: str, cache: Path, source: Path, *control: str) -> Iterator[Publishers]:
    command = [sys.executable, "-m", remote_publisher.__name__, url, str(cache), str(source), *control]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        yield Publishers(process)


def is_version(store: RemoteStore, version: int) -> bool:
    try:
        return bool(store.manifest("digit", version))
    except ArtifactError:
        return False


def partial(store: RemoteStore, objects: Objects, versions: Iterable[int], source: Path) -> set[int]:
    """Those that are taken for versions, and lack a file, or have another archive than they say."""
    names = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    taken = [version for version in versions if is_version(store, version)]
    return {version for version in taken if not _is_whole(objects, f"digit/{version}", names)}


def _is_whole(objects: Objects, where: str, names: set[str]) -> bool:
    """Of the objects themselves: what a cache has once, no version has to have."""
    found = objects.below(where)
    if found.keys() != names:
        return False
    archive = objects.read(f"{where}/{MODEL_FILE}", found[MODEL_FILE].size)
    manifest = json.loads(objects.read(f"{where}/{MANIFEST_FILE}", found[MANIFEST_FILE].size))
    return bool(hashlib.sha256(archive).hexdigest() == manifest["sha256"])
