"""Which models a store has: the folders in it that say which of their versions is live."""

from typing import NamedTuple

from service.artifacts.files import (
    Unreadable,
    folders_and_links_in,
    identity,
    must_be_there,
)
from service.artifacts.manifest import ArtifactUnreadable
from service.artifacts.pointers import CURRENT_FILE, is_name
from service.artifacts.store import MAX_ENTRIES, ArtifactStore


class Listing(NamedTuple):
    """The models of a store at one moment, in order.

    `unclear`: what has a model's name and nobody can tell whether it is one: a link in its place, say.
    `folder`: which one it was; where it is not mounted, another lies in its place.
    """

    models: tuple[str, ...]
    unclear: frozenset[str]
    folder: tuple[int, int]


def listed(store: ArtifactStore) -> Listing:
    """Look at so many entries. A folder without `current` is no model yet. Raises ArtifactUnreadable."""
    try:
        folder = identity(store.root)
        folders, links = folders_and_links_in(store.root, MAX_ENTRIES)
    except Unreadable as error:
        reason = (error.missing and store.absence) or error.reason
        raise ArtifactUnreadable(f"the store cannot be read: {reason}") from error
    models = (name for name in filter(is_name, folders) if _has_live_version(store, name))
    return Listing(tuple(sorted(models)), frozenset(filter(is_name, links)), folder)


def _has_live_version(store: ArtifactStore, name: str) -> bool:
    """True also where nobody can tell: whoever follows it says why."""
    try:
        must_be_there(store.root, name, CURRENT_FILE)
    except Unreadable as error:
        return not error.missing or store.lacking(name) is not None
    return True
