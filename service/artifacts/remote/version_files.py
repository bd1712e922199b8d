"""The objects of one version, but for its archive: brought into a folder, which then replaces another."""

from collections.abc import Mapping
from pathlib import Path

from service.artifacts.files import sync_directory, write_durably
from service.artifacts.manifest import (
    MANIFEST_FILE,
    MODEL_FILES,
    SIGNATURE_FILE,
    ArtifactError,
    ArtifactUnreadable,
    Manifest,
)
from service.artifacts.remote.objects import NoObject, Objects, Seen
from service.artifacts.version_folder import (
    MAX_MANIFEST_BYTES,
    MAX_SIGNATURE_BYTES,
    check_size,
    read_manifest,
)

# What lies beside the archive of one version: pictures of its report, samples.
MAX_FILES, MAX_FILES_BYTES = 256, 64 * 1024 * 1024


def bring_manifest(objects: Objects, where: str, folder: Path, max_model_bytes: int) -> Manifest:
    """The manifest and its signature. Raises ArtifactError or OSError.

    They are asked for by name: what is published may not be listed yet.
    """
    try:
        document = objects.read(f"{where}/{MANIFEST_FILE}", MAX_MANIFEST_BYTES)
    except NoObject as error:
        raise not_whole(where, MANIFEST_FILE) from error
    write_durably(folder / MANIFEST_FILE, document)
    manifest = read_manifest(folder)
    check_size(f"{where}/{manifest.model_file}", manifest, max_model_bytes)
    if signature := objects.read_if_there(f"{where}/{SIGNATURE_FILE}", MAX_SIGNATURE_BYTES):
        write_durably(folder / SIGNATURE_FILE, signature)
    return manifest


def bring_further(objects: Objects, where: str, found: Mapping[str, Seen], folder: Path) -> None:
    """The further files that were `found`. Raises ArtifactError or OSError."""
    further = {path: seen for path, seen in found.items() if _is_further(path)}
    size = sum(seen.size for seen in further.values())
    if len(further) > MAX_FILES or size > MAX_FILES_BYTES:
        raise ArtifactError(f"{where} has {len(further)} further files of {size} bytes: too much")
    for path, seen in further.items():
        (folder / path).parent.mkdir(exist_ok=True)
        content = objects.read(f"{where}/{path}", seen.size) if seen.size else b""
        write_durably(folder / path, content)


def replace_files(staged: Path, folder: Path) -> None:
    """Replace a version's files while it may be read: the archive first, its manifest after it."""
    paths = sorted(path for path in staged.rglob("*") if path.is_file())
    for path in sorted(paths, key=lambda path: path.name in (MANIFEST_FILE, SIGNATURE_FILE)):
        target = folder / path.relative_to(staged)
        target.parent.mkdir(exist_ok=True)
        path.replace(target)
    sync_directory(folder)


def not_whole(where: str, file: str) -> ArtifactUnreadable:
    return ArtifactUnreadable(f"{where} has no {file}: it is not published whole", missing=True)


def _is_further(path: str) -> bool:
    """In the folder of the version, or in one in it: an object may be called whatever one likes."""
    parts = path.split("/")
    if parts[0] in (MANIFEST_FILE, SIGNATURE_FILE, *MODEL_FILES.values()) or len(parts) > 2:
        return False
    return all(part and not part.startswith(".") and part.isprintable() for part in parts)
