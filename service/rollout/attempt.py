"""What became of a version when it was last loaded, and when that is worth another try."""

import asyncio
import time

from service.artifacts.look import Stamp
from service.artifacts.manifest import ArtifactError, ArtifactUnreadable
from service.serving.loading import Ready

# What could not be read is tried again after so long, twice as long each time, up to the most.
RETRY_S, MAX_RETRY_S = 1.0, 60.0


class NeverReady(ArtifactError):
    """Loading takes too long, and goes on. `ready`: done if it ends after all."""

    def __init__(self, message: str, ready: "asyncio.Future[Ready | Exception]") -> None:
        super().__init__(message)
        self.ready = ready


class Attempt:
    """The last attempt to load a version, and when another is due; `failure`: why it failed."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self._tried: tuple[Stamp, Stamp] | None = None
        self._seen: Stamp = ()
        self._resting = False
        self._retry_s, self._retry_at = RETRY_S, 0.0

    def see(self, files: Stamp) -> None:
        """The version's files as they are at this look."""
        self._resting = files == self._seen
        self._seen = files

    def due(self, written: Stamp) -> bool:
        """Whether to try: it is new, or asked for again.

        Or it failed, and its files have changed and come to rest; or it may pass, and the pause is over.
        `written`: another whenever somebody asks for it.
        """
        if self._tried is None or written != self._tried[0]:
            self._retry_s = RETRY_S
            return True
        if self.failure is None:
            return False
        if self._seen != self._tried[1]:
            return self._resting
        passing = isinstance(self.failure, ArtifactUnreadable) or not isinstance(
            self.failure, ArtifactError
        )
        if isinstance(self.failure, NeverReady):
            passing = self.failure.ready.done()  # it was slow, and no more than that
        return passing and time.monotonic() >= self._retry_at

    def begin(self, written: Stamp) -> None:
        self._tried = written, self._seen

    def end(self, failure: Exception | None) -> None:
        self.failure = failure
        if failure:
            self._retry_at = time.monotonic() + self._retry_s
            self._retry_s = min(2 * self._retry_s, MAX_RETRY_S)
