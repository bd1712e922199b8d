"""Models that were got ready before this process was there, by the one that it is a copy of."""

from collections.abc import Callable

from service.artifacts.manifest import Manifest
from service.engine.predictor import Artifact, Predictor


class Preloaded:
    """What is left to do of each, by its manifest, which has the digest of its archive.

    Its memory is shared for as long as nobody writes to it.
    """

    def __init__(self) -> None:
        self._rest: dict[str, tuple[Manifest, Callable[[], Predictor]]] = {}

    def __len__(self) -> int:
        return len(self._rest)

    def add(self, artifact: Artifact, rest: Callable[[], Predictor]) -> None:
        self._rest[artifact.title] = artifact.manifest, rest

    def holds(self, title: str, manifest: Manifest) -> bool:
        return self._rest.get(title, (None,))[0] == manifest

    def take(self, artifact: Artifact) -> Predictor | None:
        """Once, for a predictor computes one batch at a time. None where it is not there, or another.

        Raises ArtifactError.
        """
        manifest, rest = self._rest.get(artifact.title, (None, None))
        if rest is None or manifest != artifact.manifest:
            return None
        del self._rest[artifact.title]
        return rest()
