"""What answers for one version, an object that a request resolves once, and what is known of its model."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from service.artifacts.look import Look
from service.artifacts.manifest import ArtifactError, Manifest
from service.engine.predictor import Predictor
from service.serving.admission import Admission
from service.serving.batching import Batcher

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Served:
    """A version that answers, with what its requests need.

    `endpoint` reads them and writes their answers; `permits` are those of its model, whichever version
    answers, of which there are `limit` while it is the live one. `users`: the requests that have resolved
    it and are not over, each of which may still submit.
    `canary`: what a share of the requests to it is answered by instead, while it is the live one.
    """

    predictor: Predictor
    batcher: Batcher
    endpoint: Any
    permits: Admission
    limit: int
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

    def __init__(self, served: Served, share: float, count: Callable[[], object]) -> None:
        """`share`: 0 to 1, of the ids of requests. `count` is called each time when it cannot answer."""
        self.served = served
        self._count = count
        self._below = int(share * 2**64)
        self._has_failed = False

    def takes(self, request_id: str) -> bool:
        """Whether it answers that request, by the SHA-256 of its id: anybody can tell beforehand."""
        digest = sha256(request_id.encode(), usedforsecurity=False).digest()
        return int.from_bytes(digest[:8], "big") < self._below

    def fail(self, error: Exception) -> None:
        """It cannot answer: count that, and say so in the log once."""
        self._count()
        if not self._has_failed:
            self._has_failed = True
            manifest = self.served.manifest
            logger.error(
                "the canary %s/%d fails; the live version answers instead, each time: %r",
                manifest.name,
                manifest.version,
                error,
            )


@dataclass(eq=False)
class ModelState:
    """What is live and loaded of one model, and what stands in the way of more.

    `found`: in the store; `unloaded`: because a request said so; `look`: what the store has of it.
    `awaited`: the service is not ready without it: it is required, or nothing was live when it was found.

    `refused`: why the version that should be live is not; `kept_out`: likewise of versions beside it, and
    of labels that cannot be read.
    `silent_since`: since when the store has not answered what it was asked of this model.
    """

    name: str
    found: bool = False
    awaited: bool = True
    unloaded: bool = False
    live: Served | None = None
    loaded: dict[int, Served] = field(default_factory=dict)
    refused: str | None = None
    kept_out: dict[int | str, str] = field(default_factory=dict)
    look: Look | None = None
    silent_since: datetime | None = None

    @property
    def available(self) -> tuple[int, ...]:
        """The newest versions that were published when the store was last looked at, ascending."""
        return self.look.available if self.look else ()

    @property
    def labels(self) -> dict[str, int]:
        """The versions that have labels, as the store says."""
        labels = self.look.labels if self.look else {}
        return {label: version for label, version in labels.items() if isinstance(version, int)}

    @property
    def versions(self) -> tuple[int, ...]:
        """Those that are loaded, ascending."""
        return tuple(sorted(self.loaded))

    def beside(self, version: int) -> Served | None:
        """A version that is loaded and not live."""
        served = self.loaded.get(version)
        return None if served is self.live else served

    def load(self, served: Served) -> Served | None:
        """Have it answer who asks for its version. Returns what it replaces: the same, as it was before."""
        version = served.manifest.version
        replaced = self.loaded.get(version)
        self.loaded[version] = served
        self.kept_out.pop(version, None)
        return None if replaced is served else replaced

    def retain(self, wanted: Collection[int | str]) -> list[Served]:
        """Let go all versions and labels but these and the live one. Returns what was loaded of them."""
        for version in self.kept_out.keys() - set(wanted):
            del self.kept_out[version]
        unwanted = [
            version
            for version, served in self.loaded.items()
            if version not in wanted and served is not self.live
        ]
        return [self.loaded.pop(version) for version in unwanted]

    def keep_out(self, version: int | str, error: Exception) -> None:
        """Do without a version beside the live one, or without a label, and say so once."""
        why = _told(error)
        if self.kept_out.get(version) != why:
            what = version if isinstance(version, str) else f"version {version}"
            logger.error("model %s does without %s: %s", self.name, what, error, exc_info=_trace(error))
        self.kept_out[version] = why

    def refuse(self, error: BaseException, tell: bool) -> None:
        """Do without the version that should be live, and `tell` the log; what is live stays."""
        self.refused = _told(error)
        if tell:
            logger.error("model %s refused: %s", self.name, error, exc_info=_trace(error))


def _told(error: BaseException) -> str:
    """What clients may read of it."""
    return str(error) if isinstance(error, ArtifactError) else "it cannot be loaded; the log has the cause"


def _trace(error: BaseException) -> BaseException | None:
    """What the log has beside its message: how it came, unless it is of a kind that says all itself."""
    return None if isinstance(error, ArtifactError) else error
