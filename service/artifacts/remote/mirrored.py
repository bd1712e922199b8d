"""The folder that a mirror fills, as a store: it says what should be live and could not be brought."""

from service.artifacts.files import Unreadable, read_below, replace_durably
from service.artifacts.manifest import ArtifactError
from service.artifacts.store import ArtifactStore

LACKING_FILE = ".lacking"  # beside `current`
MAX_WHY_BYTES = 4096


class MirroredStore(ArtifactStore):
    """What is lacking is in files: one process finds it out, and all say it."""

    def lacking(self, name: str) -> ArtifactError | None:
        try:
            why = read_below(self.root, name, LACKING_FILE, at_most=MAX_WHY_BYTES)
        except Unreadable:
            return None
        return ArtifactError(why.decode(errors="replace"))

    def lack(self, name: str, why: str) -> None:
        """Note that, or with no reason that nothing is lacking. Raises OSError."""
        path = self.root / name / LACKING_FILE
        known = self.lacking(name)
        if not why:
            path.unlink(missing_ok=True)
        elif known is None or str(known) != why:
            path.parent.mkdir(exist_ok=True)
            replace_durably(path, why.encode()[:MAX_WHY_BYTES], path.with_name(f"{LACKING_FILE}-aside"))
