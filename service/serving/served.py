"""What answers for one version: one object, which a request resolves once and uses to its end."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from service.artifacts.manifest import Manifest
from service.engine.predictor import Predictor
from service.serving.admission import Admission
from service.serving.batching import Batcher


@dataclass(slots=True, eq=False)
class Served:
    """A version that answers, with what its requests need.

    `endpoint` reads them and writes their answers; `permits` are those of its model, whichever version
    answers. `users`: the requests that have resolved it and are not over, each of which may still submit.
    `canary`: what a share of the requests to it is answered by instead, while it is the live one.
    """

    predictor: Predictor
    batcher: Batcher
    endpoint: Any
    permits: Admission
    users: int = 0
    canary: "Canary | None" = None

    @property
    def manifest(self) -> Manifest:
        return self.predictor.manifest

    @property
    def idle(self) -> bool:
        """Whether nobody waits for its answer, or may still ask for one."""
        return not (self.users or self.batcher.unanswered)


class Canary:
    """The candidate that answers a share of the requests to the live version: always the same ones."""

    def __init__(self, served: Served, share: float, on_failure: Callable[[Exception], None]) -> None:
        """`share`: 0 to 1, of the ids of requests. `on_failure` is told each time when it cannot answer."""
        self.served = served
        self.on_failure = on_failure
        self._below = int(share * 2**64)

    def takes(self, request_id: str) -> bool:
        """Whether it answers that request, by the SHA-256 of its id: anybody can tell beforehand."""
        digest = sha256(request_id.encode(), usedforsecurity=False).digest()
        return int.from_bytes(digest[:8], "big") < self._below
