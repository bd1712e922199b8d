"""The folder of one version: its manifest, its archive, and what lies beside them."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from service.artifacts.files import Unreadable, files_in, folders_in, read_below, stamp_below, write_durably
from service.artifacts.manifest import (
    MANIFEST_FILE,
    SIGNATURE_FILE,
    ArtifactError,
    ArtifactUnreadable,
    Manifest,
    first_fault,
    printable,
)
from service.settings import SettingsUnusable, read_settings

MAX_MANIFEST_BYTES = 1024 * 1024
MAX_SIGNATURE_BYTES = 4 * 1024
MAX_MODEL_BYTES = 512 * 1024 * 1024


def title(folder: Path) -> str:
    """`<name>/<version>`: how messages call a version folder, wherever the store lies."""
    return printable(f"{folder.parent.name}/{folder.name}")


def read_of_version(folder: Path, file: str, at_most: int, exactly: bool = False) -> bytes:
    """A file of a version folder. Raises ArtifactUnreadable."""
    root, names = _below_root(folder)
    with explained():
        return read_below(root, *names, file, at_most=at_most, exactly=exactly)


def read_further_files(folder: Path) -> dict[str, bytes]:
    """What lies beside the manifest and its signature, by path: in the folder itself, and in those in it.

    Raises ArtifactUnreadable.
    """
    root, names = _below_root(folder)
    with explained():
        paths = files_in(root, *names)
        for inner in folders_in(root, *names):
            paths += [f"{inner}/{file}" for file in files_in(root, *names, inner)]
        return {
            path: read_below(root, *names, *path.split("/"), at_most=MAX_MODEL_BYTES)
            for path in paths
            if path not in (MANIFEST_FILE, SIGNATURE_FILE)
        }


def read_manifest(folder: Path, verify: Callable[[Path, bytes], None] | None = None) -> Manifest:
    """Parse `manifest.json` of a version folder, once `verify` has let these very bytes pass.

    Raises ArtifactError.
    """
    document = read_of_version(folder, MANIFEST_FILE, MAX_MANIFEST_BYTES)
    if verify:
        verify(folder, document)
    return parse_manifest(document, title(folder))


def parse_manifest(document: bytes, of: str) -> Manifest:
    """`of`: what messages call its version. Raises ArtifactError."""
    try:
        return Manifest.model_validate_json(document)
    except ValidationError as error:
        raise ArtifactError(f"{of}/{MANIFEST_FILE} is not a manifest: {first_fault(error)}") from None


def read_model(folder: Path, manifest: Manifest, at_most: int = MAX_MODEL_BYTES) -> bytes:
    """The bytes of the archive, of the stated size and SHA-256. Raises ArtifactError.

    The caller must load these very bytes: reading the file a second time would leave a gap in which
    it could be exchanged.
    """
    where = f"{title(folder)}/{manifest.model_file}"
    check_size(where, manifest, at_most)
    model = read_of_version(folder, manifest.model_file, manifest.size_bytes, exactly=True)
    if hashlib.sha256(model).hexdigest() != manifest.sha256:
        raise ArtifactError(f"{where} does not have the SHA-256 of its manifest")
    return model


def largest() -> int:
    """The bytes up to which a service reads an archive that has this environment. Raises ArtifactError."""
    try:
        return read_settings().max_model_bytes
    except SettingsUnusable as error:
        raise ArtifactError(str(error)) from error


def check_size(where: str, manifest: Manifest, at_most: int) -> None:
    """`where`: what messages call the archive. Raises ArtifactError."""
    if manifest.size_bytes > at_most:
        raise ArtifactError(
            f"{where} is said to have {manifest.size_bytes} bytes; at most {at_most} are read"
        )


def is_signed(folder: Path) -> bool:
    """Whether there is a signature, by whichever key."""
    root, names = _below_root(folder)
    return stamp_below(root, *names, SIGNATURE_FILE) is not None


def write_manifest(folder: Path, manifest: Manifest, sign: Callable[[bytes], bytes] | None = None) -> None:
    document = (manifest.model_dump_json(indent=2) + "\n").encode("utf-8")
    write_durably(folder / MANIFEST_FILE, document)
    if sign:
        write_durably(folder / SIGNATURE_FILE, sign(document))


@contextmanager
def explained() -> Iterator[None]:
    """What the files below a store are not read for, as an error of its artifacts."""
    try:
        yield
    except Unreadable as error:
        raise ArtifactUnreadable(str(error), missing=error.missing) from error


def _below_root(folder: Path) -> tuple[Path, list[str]]:
    """The root of the store that a version folder is in, and the names of the folders that lead to it."""
    return folder.parent.parent, [name for name in (folder.parent.name, folder.name) if name]
