"""The store of artifacts: the folders of published versions, and the file that names the live one.

    <root>/<name>/current              text file: the live version
    <root>/<name>/<version>/           immutable: model.pt  manifest.json  [manifest.sig]  samples/  report/

The layout of versions is that of a Triton model repository. Training writes it and the service reads
it, so this module needs neither torch nor a web framework.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from service.files import sync_directory, write_durably
from service.manifest import MANIFEST_FILE, MODEL_FILE, SIGNATURE_FILE, ArtifactError, Manifest


class ArtifactStore:
    """The folder of published models. Reading never locks; publishing does, one publisher at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, name: str, version: int) -> Path:
        return self.root / name / str(version)

    def versions(self, name: str) -> list[int]:
        """Published versions, ascending; staging folders and stray files do not count."""
        try:
            entries = list((self.root / name).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(e.name) for e in entries if _is_version(e.name) and e.is_dir())

    def current(self, name: str) -> int:
        """The live version. Raises ArtifactError when none is published or `current` is not a number."""
        pointer = self.root / name / "current"
        try:
            text = pointer.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise ArtifactError(f"no version of {name!r} is published") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{name}/current cannot be read: {error}") from error
        if not _is_version(text):
            raise ArtifactError(f"{name}/current must hold a version number, not {text[:40]!r}")
        return int(text)

    def pointer(self, name: str) -> tuple[int, int] | None:
        """What changes whenever `current` is written, be it with the same version. None: there is none."""
        try:
            file = (self.root / name / "current").stat()
        except OSError:
            return None
        return file.st_mtime_ns, file.st_ino

    def activate(self, name: str, version: int) -> None:
        """Make `version` the live one, atomically. Raises ArtifactError when it is not published."""
        if version not in self.versions(name):
            raise ArtifactError(f"version {version} of {name!r} is not published")
        staged = self.root / name / f".current-{os.getpid()}"
        write_durably(staged, f"{version}\n".encode("ascii"))
        staged.replace(self.root / name / "current")
        sync_directory(self.root / name)

    @contextmanager
    def publishing(self, name: str) -> Iterator[Path]:
        """Hold the publishing lock of `name` and yield its folder. A killed holder frees the lock."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder


def title(folder: Path) -> str:
    """`<name>/<version>`: how messages call a version folder, wherever the store lies."""
    return f"{folder.parent.name}/{folder.name}"


def read_manifest(folder: Path, verify: Callable[[Path, bytes], None] | None = None) -> Manifest:
    """Parse `manifest.json` of a version folder, once `verify` has let these very bytes pass.

    Raises ArtifactError.
    """
    where = f"{title(folder)}/{MANIFEST_FILE}"
    try:
        document = (folder / MANIFEST_FILE).read_bytes()
        if verify:
            verify(folder, document)
        return Manifest.model_validate_json(document)
    except OSError as error:
        raise ArtifactError(f"{where} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "document"
        raise ArtifactError(f"{where} is not a manifest: {field}: {first['msg']}") from error


def read_model(folder: Path, manifest: Manifest) -> bytes:
    """The bytes of `model.pt`, of the stated size and SHA-256. Raises ArtifactError.

    The caller must load these very bytes: reading the file a second time would leave a gap in which
    it could be exchanged.
    """
    where = f"{title(folder)}/{MODEL_FILE}"
    try:
        model = (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{where} cannot be read: {error.strerror}") from error
    if len(model) != manifest.size_bytes:
        raise ArtifactError(f"{where} has {len(model)} bytes, not {manifest.size_bytes}")
    if hashlib.sha256(model).hexdigest() != manifest.sha256:
        raise ArtifactError(f"{where} does not have the SHA-256 of its manifest")
    return model


def write_manifest(folder: Path, manifest: Manifest, sign: Callable[[bytes], bytes] | None = None) -> None:
    document = (manifest.model_dump_json(indent=2) + "\n").encode("utf-8")
    write_durably(folder / MANIFEST_FILE, document)
    if sign:
        write_durably(folder / SIGNATURE_FILE, sign(document))


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdigit() and not text.startswith("0") and len(text) <= 9
