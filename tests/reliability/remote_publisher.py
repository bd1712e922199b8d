"""Publishes into a store of objects, to be killed at a step of it; quick, as it imports no torch.

A publication is a child of one process that has imported all that it needs.
"""

import hashlib
import importlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.artifacts.manifest import MANIFEST_FILE, MODEL_FILE
from service.artifacts.remote.mirror import Mirror
from service.artifacts.remote.objects import Objects
from service.artifacts.remote.store import RemoteStore

BACKENDS = ("s3fs", "aiobotocore.session", "adlfs", "azure.storage.blob.aio", "gcsfs")


class Announced(Objects):
    """Says at which of its calls, which are the steps of a publication, it is."""

    def __init__(self, url: str, at: Callable[[], None]) -> None:
        super().__init__(url)
        self._at = at

    def _call(self, method: str, *arguments: object, **options: Any) -> Any:
        self._at()
        return super()._call(method, *arguments, **options)


class ManifestFirst(RemoteStore):
    """The control: its versions can be seen before they are whole."""

    def place(self, staged: Path, name: str, version: int) -> None:
        self._objects.create(f"{name}/{version}/{MANIFEST_FILE}", (staged / MANIFEST_FILE).read_bytes())
        super().place(staged, name, version)


def remote(url: str, cache: Path) -> RemoteStore:
    return RemoteStore(Mirror(Objects(url), cache))


def publish_folder(store: RemoteStore, source: Path, activate: bool = True) -> int:
    """Publish a version folder of `digit` again as the next version; quick: no process verifies it."""
    with store.publishing("digit") as folder:
        version = store.next_version("digit")
        staged = folder / f".staging-{os.getpid()}"
        try:
            shutil.copytree(source, staged)
            manifest = json.loads((staged / MANIFEST_FILE).read_text()) | {"version": version}
            (staged / MANIFEST_FILE).write_text(json.dumps(manifest))
            store.place(staged, "digit", version)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        if activate:
            store.activate("digit", version)
    return version


def publish(url: str, cache: Path, source: Path, kind: type[RemoteStore], step: int) -> None:
    """Says its process id at that step; at 0 none, but when it was at each, and at its end, in seconds."""
    moments: list[float] = []

    def at() -> None:
        moments.append(time.monotonic())
        if len(moments) == step:
            print(os.getpid(), flush=True)

    publish_folder(kind(Mirror(Announced(url, at), cache)), _another(source, cache / f"of-{os.getpid()}"))
    if not step:
        print(json.dumps([*moments, time.monotonic()]), flush=True)


def _another(source: Path, folder: Path) -> Path:
    """With an archive of its own, which no cache has yet."""
    shutil.copytree(source, folder)
    archive = os.urandom((folder / MODEL_FILE).stat().st_size)
    (folder / MODEL_FILE).write_bytes(archive)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["sha256"] = hashlib.sha256(archive).hexdigest()
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    return folder


def main(url: str, cache: str, source: str, control: str = "") -> None:
    """A publication for each line of standard input, which is a step; says of each how it ended."""
    for backend in BACKENDS:
        with suppress(ModuleNotFoundError):
            importlib.import_module(backend)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            kind = ManifestFirst if control else RemoteStore
            publish(url, Path(cache), Path(source), kind, int(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
