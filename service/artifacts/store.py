"""The store of artifacts: the folders of published versions, and the file that names the live one.

    <root>/<name>/current              text file: the live version; `stable` and `canary` likewise
    <root>/<name>/<version>/           immutable: model.pt  manifest.json  [manifest.sig]  samples/  report/

The layout of versions is that of a Triton model repository; an ONNX file is `model.onnx`. Training writes
it and the service reads it, so this module needs neither torch nor a web framework. Others may write to it
too: whatever is read goes through `files`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.artifacts.files import folders_in, names_in, replace_durably, stamp_below, sync_directory
from service.artifacts.lock import locked
from service.artifacts.look import Look, Stamp
from service.artifacts.manifest import (
    MANIFEST_FILE,
    MODEL_FILES,
    SIGNATURE_FILE,
    ArtifactError,
    ArtifactUnreadable,
    Manifest,
)
from service.artifacts.pointers import (
    CURRENT_FILE,
    LABELS,
    is_name,
    is_version,
    point,
    pointed,
    unpoint,
)
from service.artifacts.version_folder import explained, read_manifest

# A look goes through so many entries of a model's folder, and keeps so many versions.
MAX_ENTRIES, MAX_VERSIONS = 10_000, 1_000


class ArtifactStore:
    """The folder of published models. Reading never locks; publishing does, one publisher at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.absence = ""  # why it is not there, if whoever brings it from elsewhere knows

    @property
    def address(self) -> str:
        """What it is called in an option."""
        return str(self.root)

    def folder(self, name: str, version: int) -> Path:
        return self.root / name / str(version)

    def names(self) -> list[str]:
        """The folders that may be models, in order. Raises ArtifactUnreadable."""
        with explained():
            return sorted(filter(is_name, folders_in(self.root)))

    def versions(self, name: str) -> list[int]:
        """Published versions, ascending; staging folders and stray files do not count.

        Raises ArtifactUnreadable.
        """
        return sorted(self._versions(name, None))

    def next_version(self, name: str) -> int:
        """The number of the version that is published next, which nothing has yet, be it a file or a link.

        Raises ArtifactUnreadable.
        """
        return max(self._versions(name, None, names_in), default=0) + 1

    def manifest(self, name: str, version: int) -> Manifest:
        """Raises ArtifactError."""
        return read_manifest(self.folder(name, version))

    def current(self, name: str) -> int:
        """The live version. Raises ArtifactError when none is published or `current` is not a number."""
        return self.pointed(name, CURRENT_FILE)

    def pointed(self, name: str, pointer: str) -> int:
        """The version that `current` or a label names. Raises ArtifactError."""
        return pointed(self.root, name, pointer)

    def labels(self, name: str) -> dict[str, int | ArtifactError]:
        """The versions that have labels, or why one cannot be read."""
        labels: dict[str, int | ArtifactError] = {}
        for label in LABELS:
            try:
                labels[label] = self.pointed(name, label)
            except ArtifactUnreadable as error:
                if not error.missing:
                    labels[label] = error
            except ArtifactError as error:
                labels[label] = error
        return labels

    def look(self, name: str, keep: int = 1) -> Look:
        """See what there is. What cannot be read is told in its place. `keep`: `wanted` has so many."""
        lacking = self.lacking(name)
        current: int | ArtifactError
        try:
            current = self.current(name)
        except ArtifactError as error:
            current = lacking or error
        written = stamp_below(self.root, name, CURRENT_FILE)
        files: Stamp = (written,)
        if isinstance(current, int):
            files += self._stamp(name, current)
        try:
            available = sorted(self._versions(name, MAX_ENTRIES))[-MAX_VERSIONS:]
        except ArtifactError:
            available = []
        labels = self.labels(name)
        newest = [version for version in reversed(available) if version != current][: keep - 1]
        wanted = {version for version in (*newest, *labels.values()) if isinstance(version, int)}
        beside = {version: self._stamp(name, version) for version in sorted(wanted - {current})}
        times = written and (written[0], written[2])  # its inode's own time changes with who may read it
        return Look(current, (str(current), times), files, tuple(available), labels, beside, lacking)

    def lacking(self, name: str) -> ArtifactError | None:  # noqa: ARG002
        """Why what should be live is not here; whoever brings it from elsewhere knows."""
        return None

    def activate(self, name: str, version: int) -> None:
        """Make `version` the live one, atomically.

        Raises ArtifactError where it is not published, or OSError.
        """
        self.label(name, version, CURRENT_FILE)

    def label(self, name: str, version: int, label: str) -> None:
        """Give a label to `version`, atomically. Raises as `activate` does."""
        if version not in self.versions(name):
            raise ArtifactError(f"version {version} of {name!r} is not published")
        point(self.root / name, label, version)

    def unlabel(self, name: str, label: str) -> None:
        """Take a label away, if there is one. Raises OSError."""
        unpoint(self.root / name, label)

    def _stamp(self, name: str, version: int) -> Stamp:
        """Changes whenever a file of that version does."""
        of_version = (name, str(version))
        files = (MANIFEST_FILE, SIGNATURE_FILE, *MODEL_FILES.values())
        paths = (of_version, *((*of_version, file) for file in files))
        return tuple(stamp_below(self.root, *path) for path in paths)

    def place(self, staged: Path, name: str, version: int) -> None:
        """Have a folder that was filled aside appear as that version. Raises OSError."""
        staged.rename(self.folder(name, version))
        sync_directory(self.root / name)

    def sign(self, name: str, version: int, signature: bytes) -> None:
        """Put a signature beside a manifest; it appears whole. Raises OSError."""
        aside = self.root / name / f".signature-{os.getpid()}"
        replace_durably(self.folder(name, version) / SIGNATURE_FILE, signature, aside)

    @contextmanager
    def publishing(self, name: str) -> Iterator[Path]:
        """Hold the publishing lock of `name` and yield its folder. What then holds nothing goes again.

        Raises OSError where the folder cannot be made or the lock cannot be had.
        """
        folder = self.root / name
        with locked(folder):
            yield folder

    def _versions(
        self, name: str, entries: int | None, found: Callable[..., list[str]] = folders_in
    ) -> list[int]:
        """In no order, among so many entries of the folder. Raises ArtifactUnreadable."""
        if not is_name(name):
            return []
        try:
            with explained():
                return [int(f) for f in found(self.root, name, at_most=entries) if is_version(f)]
        except ArtifactUnreadable as error:
            if error.missing:
                return []
            raise
