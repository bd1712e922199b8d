"""Versions of the store, loaded as the service serves them."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch

from service.artifacts.manifest import ArtifactError, Manifest
from service.artifacts.signatures import TrustedKeys
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import MAX_MODEL_BYTES
from service.engine.loading import Artifact, give_back, prepare, read
from service.engine.predictor import Predictor
from service.option_types import Precision


class Ready(NamedTuple):
    """A version that can be served: what computes it, and how it is asked."""

    predictor: Predictor
    endpoint: Any


class Preloaded:
    """Models that were got ready by the process that this one is a copy of: what is left to do of each.

    They go by their manifests, which have the digests of their archives. Their memory is shared for as long
    as nobody writes to it.
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


class Loader:
    """Loads what one of the `trusted` keys signed, or anything without keys; up to `max_model_bytes`."""

    def __init__(
        self,
        store: ArtifactStore,
        endpoint_of: Callable[[Manifest], Any],
        device: torch.device,
        precision: Precision = "float32",
        trusted: TrustedKeys | None = None,
        max_model_bytes: int = MAX_MODEL_BYTES,
        preloaded: Preloaded | None = None,
    ) -> None:
        """`endpoint_of` raises ArtifactError where a manifest does not fit its kind."""
        self.store = store
        self._endpoint_of = endpoint_of
        self.device = device
        self._precision = precision
        self._trusted = trusted
        self._max_model_bytes = max_model_bytes
        self._preloaded = preloaded or Preloaded()

    def read_version(self, name: str, version: int) -> Artifact:
        """Raises ArtifactError unless it is whole, signed if need be, and its own."""
        folder = self.store.folder(name, version)
        artifact = read(folder, self._trusted, self._max_model_bytes, self._preloaded.holds)
        stated = (artifact.manifest.name, artifact.manifest.version)
        if stated != (name, version):
            raise ArtifactError(f"{name}/{version} holds the manifest of {stated[0]}/{stated[1]}")
        return artifact

    def prepare(self, artifact: Artifact) -> Ready:
        """Make it ready to answer. Raises ArtifactError when it is not fit to serve."""
        predictor = self._preloaded.take(artifact)
        if not predictor:
            if artifact.model is None:  # it has been taken since
                artifact = self.read_version(artifact.manifest.name, artifact.manifest.version)
            predictor = prepare(artifact, self.device, self._precision)
            give_back()
        return Ready(predictor, self._endpoint_of(predictor.manifest))

    def load_version(self, name: str, version: int) -> Ready:
        """Raises ArtifactError when it is not fit to serve."""
        return self.prepare(self.read_version(name, version))


class Repository(Protocol):
    """Whoever takes models up and lets them go."""

    async def load(self, name: str) -> None:
        """Serve it again. Returns when it is ready. Raises UnknownModel, or NotReady, which says why."""

    async def unload(self, name: str) -> None:
        """Serve it no longer; what is under way is answered. Raises UnknownModel or NotReady."""
