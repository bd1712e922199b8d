"""What is live of one version: one object, which a request resolves once and uses to its end."""

from dataclasses import dataclass
from typing import Any

from service.artifacts.manifest import Manifest
from service.engine.predictor import Predictor
from service.serving.admission import Admission
from service.serving.batching import Batcher


@dataclass(slots=True, eq=False)
class Served:
    """A version that answers, with what its requests need.

    `endpoint` reads them and writes their answers; `places` are those of its model, whichever version
    answers. `users`: the requests that have resolved it and are not over, each of which may still submit.
    """

    predictor: Predictor
    batcher: Batcher
    endpoint: Any
    places: Admission
    users: int = 0

    @property
    def manifest(self) -> Manifest:
        return self.predictor.manifest

    @property
    def idle(self) -> bool:
        """Whether nobody waits for its answer, or may still ask for one."""
        return not (self.users or self.batcher.unanswered)
