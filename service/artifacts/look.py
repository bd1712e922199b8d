"""What a look at the store shows of one model."""

from collections.abc import Mapping
from typing import NamedTuple

from service.artifacts.manifest import ArtifactError

Stamp = tuple[object, ...]


class Look(NamedTuple):
    """What the store says of one model at one moment.

    `current`: the live version, or why there is none. `written` changes whenever the file that names it is
    written, be it with the same version; `files` whenever any file of that version is. `available`: the
    newest versions, ascending. `labels`: the versions that have them, or why one cannot be read. `beside`:
    the versions that are to be loaded beside the live one, with what changes when their files do.
    `lacking`: why another than `current` should be live and is not here.
    """

    current: int | ArtifactError
    written: Stamp
    files: Stamp
    available: tuple[int, ...]
    labels: Mapping[str, int | ArtifactError] = {}
    beside: Mapping[int, Stamp] = {}
    lacking: ArtifactError | None = None
