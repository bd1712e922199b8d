"""The live models by name, and why a model is missing."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

import torch

from service.errors import NotReady, UnknownModel
from service.manifest import ArtifactError, ArtifactStore, DType, Manifest
from service.predictor import Predictor, load
from service.settings import Precision

logger = logging.getLogger(__name__)


class Interface(NamedTuple):
    """What a route sends to its model and expects of it; -1 in a shape is the number of rows."""

    input_name: str
    dtype: DType
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @classmethod
    def of(cls, manifest: Manifest) -> "Interface":
        rows, answers = manifest.input, manifest.output
        return cls(rows.name, rows.dtype, rows.shape, answers.shape)


class Registry:
    """Holds one Predictor for each configured model, and serves only those that fit their route."""

    def __init__(
        self,
        store: ArtifactStore,
        interfaces: Mapping[str, Interface],
        device: torch.device,
        precision: Precision = "float32",
    ) -> None:
        self.names = tuple(interfaces)
        self.device = device
        self._precision = precision
        self._store = store
        self._interfaces = interfaces
        self._live: dict[str, Predictor] = {}
        self._refused: dict[str, str] = dict.fromkeys(self.names, "not loaded yet")

    def load(self) -> None:
        """Load the live version of every model. One that is refused stays out; the others serve."""
        for name in self.names:
            try:
                predictor = self._load_current(name)
            except ArtifactError as error:
                self._refused[name] = str(error)
                logger.error("model %s refused: %s", name, error)
            else:
                self._live[name] = predictor
                self._refused.pop(name, None)
                logger.info(
                    "model %s version %d ready on %s", name, predictor.manifest.version, self.device
                )

    def get(self, name: str) -> Predictor:
        """The live predictor of `name`. Raises UnknownModel or NotReady."""
        predictor = self.live(name)
        if predictor is None:
            raise NotReady(f"Model {name!r} is not ready to serve.")
        return predictor

    def live(self, name: str) -> Predictor | None:
        """The live predictor of `name`, or None while it is refused. Raises UnknownModel."""
        if name not in self.names:
            raise UnknownModel(f"There is no model {name!r}; there are {', '.join(self.names)}.")
        return self._live.get(name)

    def refused(self) -> dict[str, str]:
        """The models that cannot serve, each with the reason. Empty means ready."""
        return dict(self._refused)

    def _load_current(self, name: str) -> Predictor:
        version = self._store.current(name)
        predictor = load(self._store.folder(name, version), self.device, self._precision)
        stated = (predictor.manifest.name, predictor.manifest.version)
        if stated != (name, version):
            raise ArtifactError(f"{name}/{version} holds the manifest of {stated[0]}/{stated[1]}")
        interface = Interface.of(predictor.manifest)
        if interface != self._interfaces[name]:
            raise ArtifactError(
                f"{name}/{version} has the interface {interface}, not {self._interfaces[name]}"
            )
        return predictor
