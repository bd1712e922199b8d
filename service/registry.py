"""The live models by name, and why a model is missing."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

import torch

from service.errors import NotReady, UnknownModel
from service.manifest import ArtifactError, DType, Manifest
from service.predictor import Predictor, load
from service.settings import Precision
from service.signatures import TrustedKeys
from service.store import ArtifactStore

logger = logging.getLogger(__name__)


class Interface(NamedTuple):
    """What a route sends to its model and expects of it, a score aside; -1 stands for the row count."""

    input_name: str
    dtype: DType
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @classmethod
    def of(cls, manifest: Manifest) -> "Interface":
        rows, answers = manifest.input, manifest.output
        columns = answers.shape[-1] - (answers.score is not None)
        return cls(rows.name, rows.dtype, rows.shape, (*answers.shape[:-1], columns))


class Registry:
    """Holds one Predictor for each configured model, and serves only those that fit their route."""

    def __init__(
        self,
        store: ArtifactStore,
        interfaces: Mapping[str, Interface],
        device: torch.device,
        precision: Precision = "float32",
        trusted: TrustedKeys | None = None,
    ) -> None:
        self.names = tuple(interfaces)
        self.device = device
        self.store = store
        self._stopping = False
        self._precision = precision
        self._trusted = trusted
        self._interfaces = interfaces
        self._live: dict[str, Predictor] = {}
        self._refused: dict[str, str] = dict.fromkeys(self.names, "not loaded yet")

    def get(self, name: str) -> Predictor:
        """The live predictor of `name`. Raises UnknownModel or NotReady."""
        predictor = self.live(name)
        if predictor is None:
            raise NotReady(f"Model {name!r} is not ready to serve.")
        return predictor

    def live(self, name: str) -> Predictor | None:
        """The live predictor of `name`, or None while there is none. Raises UnknownModel."""
        if name not in self.names:
            raise UnknownModel(f"There is no model {name!r}; there are {', '.join(self.names)}.")
        return self._live.get(name)

    def manifests(self) -> list[Manifest]:
        """Of every live model."""
        return [predictor.manifest for predictor in self._live.values()]

    def refused(self, name: str) -> str | None:
        """Why the version that should be live is not, or None; an older one may be serving."""
        return self._refused.get(name)

    def unready(self) -> dict[str, str]:
        """What stands in the way of serving, each with the reason. Empty means ready."""
        if self._stopping:
            return {"service": "stopping"}
        return {name: self._refused[name] for name in self.names if name not in self._live}

    def stop(self) -> None:
        """Be ready no more; what is asked nevertheless is answered."""
        self._stopping = True

    def adopt(self, predictor: Predictor) -> None:
        """Make it the live one of its name: from here on every new request is answered by it."""
        manifest = predictor.manifest
        self._live[manifest.name] = predictor
        self._refused.pop(manifest.name, None)
        logger.info("model %s version %d ready on %s", manifest.name, manifest.version, self.device)

    def refuse(self, name: str, error: BaseException) -> None:
        """Keep a version out, and say so once; what is live stays."""
        expected = isinstance(error, ArtifactError)
        self._refused[name] = str(error) if expected else "it cannot be loaded; the log has the cause"
        logger.error("model %s refused: %s", name, error, exc_info=None if expected else error)

    def load_current(self, name: str) -> Predictor:
        """Load the version that `current` names, verified and warm. Raises ArtifactError."""
        return self.load_version(name, self.store.current(name))

    def load_version(self, name: str, version: int) -> Predictor:
        """Raises ArtifactError when it is not fit to serve."""
        folder = self.store.folder(name, version)
        predictor = load(folder, self.device, self._precision, self._trusted)
        stated = (predictor.manifest.name, predictor.manifest.version)
        if stated != (name, version):
            raise ArtifactError(f"{name}/{version} holds the manifest of {stated[0]}/{stated[1]}")
        interface = Interface.of(predictor.manifest)
        if interface != self._interfaces[name]:
            raise ArtifactError(
                f"{name}/{version} has the interface {interface}, not {self._interfaces[name]}"
            )
        return predictor
