"""One model, kept at the version that the store calls live.

Nothing of the file system, and nothing that a model's author decides, happens on the event loop: it is
asked of a thread of the model's own. A store that does not answer is waited for, and told of; a model that
does not get ready in its time is given up, and its thread left to it.
"""

import asyncio
import time
from collections.abc import Callable

from service.artifacts.manifest import ArtifactError, ArtifactUnreadable
from service.artifacts.store import Look, Stamp
from service.engine.predictor import Artifact, Predictor
from service.errors import outcome
from service.rollout.asking import Asking
from service.rollout.lone_thread import LoneThread
from service.serving.metrics import Metrics
from service.serving.registry import Registry

# What could not be read is tried again after so long, twice as long each time, up to the most.
RETRY_S, MAX_RETRY_S = 1.0, 60.0

# Models get ready in turn, for each finds its quickest way by the clock; one waits so long for another.
TURN_S = 5.0

# So many that do not get ready may go on, each on a processor, before none is tried any more.
MAX_OVERDUE = 3


class Loads:
    """What all models share: whose turn it is to get ready, and which have not in their time."""

    def __init__(self, at_most_s: float) -> None:
        self.at_most_s = at_most_s
        self.underway: set[asyncio.Future[Predictor | Exception]] = set()
        self.overdue: set[asyncio.Future[Predictor | Exception]] = set()
        self._turn = asyncio.Lock()

    async def ready(
        self, title: str, thread: LoneThread, prepare: Callable[[], Predictor]
    ) -> Predictor | Exception:
        """What `prepare` makes of the version called `title`, on `thread`."""
        if len(self.overdue) >= MAX_OVERDUE:
            return ArtifactError(
                f"{title} is not tried: {MAX_OVERDUE} others never got ready; a restart ends them"
            )
        try:
            await asyncio.wait_for(self._turn.acquire(), TURN_S)
            turn = True
        except TimeoutError:
            turn = False
        try:
            return await self._prepared(title, thread, prepare)
        finally:
            if turn:
                self._turn.release()

    async def _prepared(
        self, title: str, thread: LoneThread, prepare: Callable[[], Predictor]
    ) -> Predictor | Exception:
        ready = thread.call(prepare)
        self.underway.add(ready)
        ready.add_done_callback(self.underway.discard)
        await asyncio.wait({ready}, timeout=self.at_most_s)
        if ready.done():
            return ready.result()
        self.overdue.add(ready)
        ready.add_done_callback(self.overdue.discard)
        thread.give_up()
        return NeverReady(f"{title} was not ready within {self.at_most_s:g} s", ready)


class NeverReady(ArtifactError):
    """Loading takes too long, and goes on. `ready`: done if it ends after all."""

    def __init__(self, message: str, ready: "asyncio.Future[Predictor | Exception]") -> None:
        super().__init__(message)
        self.ready = ready


class Follower:
    """Follows the store for one model, and has what becomes live taken up."""

    def __init__(
        self,
        name: str,
        registry: Registry,
        take_up: Callable[[Predictor], None],
        metrics: Metrics,
        loads: Loads,
    ) -> None:
        self.name = name
        self._gone = False
        self._registry = registry
        self._take_up = take_up
        self._metrics = metrics
        self._loads = loads
        self._store = Asking(name, lambda since: registry.silent(name, since))
        self._tried: Look | None = None
        self._failure: Exception | None = None
        self._told: tuple[Stamp, str] | None = None
        self._wrong: str | None = None
        self._files: Stamp = ()
        self._retry_s, self._retry_at = RETRY_S, 0.0

    @property
    def tried(self) -> asyncio.Event:
        """Set when what was there at the start is live or refused, or the store does not answer."""
        return self._store.told

    async def follow(self, every_s: float) -> None:
        while not self._gone:
            await self.look()
            await asyncio.sleep(every_s)
        self.close()

    def leave(self) -> None:
        """The model is gone: what is being asked or loaded for it ends, and nothing comes of it."""
        self._gone = True

    async def look(self) -> None:
        """Take up what became live since the last look, and what failed and may not do so any more."""
        look = await self._store.ask(lambda: self._registry.store.look(self.name))
        if self._gone:
            return
        if isinstance(look, Exception):
            self._refuse(look, ())
        elif not (isinstance(look.current, ArtifactUnreadable) and look.current.missing):  # it is going
            self._registry.see(self.name, look.available)
            wrong = str(look.current) if isinstance(look.current, ArtifactError) else None
            if isinstance(look.current, ArtifactError):
                # Who writes it in two steps, as a shell does, is given until the next look for the second.
                if wrong == self._wrong or not self.tried.is_set():
                    self._refuse(look.current, look.written)
            else:
                if self._due(look):
                    await self._try(look, look.current)
                if self._failure:
                    self._refuse(self._failure, look.written)
                else:
                    self._registry.clear(self.name)
            self._wrong, self._files = wrong, look.files
        self.tried.set()

    def close(self) -> None:
        self._store.close()

    def _due(self, look: Look) -> bool:
        """Whether to try it: it is new; or, once more, its files have changed and come to rest."""
        if self._tried is None or look.written != self._tried.written:
            self._retry_s = RETRY_S
            return True
        if self._failure is None:
            return False
        if look.files != self._tried.files:
            return look.files == self._files
        passing = isinstance(self._failure, ArtifactUnreadable) or not isinstance(
            self._failure, ArtifactError
        )
        if isinstance(self._failure, NeverReady):
            passing = self._failure.ready.done()  # it was slow, and no more than that
        return passing and time.monotonic() >= self._retry_at

    async def _try(self, look: Look, version: int) -> None:
        self._tried = look
        loaded = await self._loaded(version)
        if self._gone:
            return
        failure = loaded if isinstance(loaded, Exception) else outcome(self._take_up, loaded)
        if failure:
            self._failure = failure
            self._retry_at = time.monotonic() + self._retry_s
            self._retry_s = min(2 * self._retry_s, MAX_RETRY_S)
        else:
            self._failure = self._told = None

    async def _loaded(self, version: int) -> Predictor | Exception:
        read = await self._store.ask(lambda: self._registry.read_version(self.name, version))
        if isinstance(read, Exception):
            return read
        artifact: Artifact = read
        return await self._loads.ready(
            artifact.title, self._store.thread, lambda: self._registry.prepare(artifact)
        )

    def _refuse(self, error: Exception, written: Stamp) -> None:
        """Say why in `GET /models`; in the log once, until `current` is written or the reason changes."""
        news = (written, str(error))
        self._registry.refuse(self.name, error, tell=news != self._told)
        if news != self._told:
            self._metrics.reloads(self.name, "refused").inc()
        self._told = news
