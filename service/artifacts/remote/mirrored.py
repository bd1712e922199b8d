"""The folder that a mirror fills, as a store: it says what should be live and could not be brought."""

from service.artifacts.files import Unreadable, read_below, replace_durably
from service.artifacts.manifest import ArtifactError
from service.artifacts.store import ArtifactStore

LACKING_FILE, WRITTEN_FILE = ".lacking", ".written"  # beside `current`
MAX_BYTES = 4096


class MirroredStore(ArtifactStore):
    """What one process has found out is in files: all go by it."""

    def lacking(self, name: str) -> ArtifactError | None:
        why = self._noted(name, LACKING_FILE)
        return ArtifactError(why) if why else None

    def lack(self, name: str, why: str) -> None:
        """Note that, or with no reason that nothing is lacking. Raises OSError."""
        self._note(name, LACKING_FILE, why)

    def written(self, name: str) -> str:
        """What `Objects` said of `current` when it was last written here."""
        return self._noted(name, WRITTEN_FILE)

    def note_written(self, name: str, written: str) -> None:
        """Raises OSError."""
        self._note(name, WRITTEN_FILE, written)

    def _noted(self, name: str, file: str) -> str:
        try:
            return read_below(self.root, name, file, at_most=MAX_BYTES).decode(errors="replace")
        except Unreadable:
            return ""

    def _note(self, name: str, file: str, content: str) -> None:
        path = self.root / name / file
        if not content:
            path.unlink(missing_ok=True)
        elif self._noted(name, file) != content:
            path.parent.mkdir(exist_ok=True)
            replace_durably(path, content.encode()[:MAX_BYTES], path.with_name(f"{file}-aside"))
