"""One model, kept at the version that the store calls live.

Nothing of the file system, and nothing that a model's author decides, happens on the event loop: it is
asked of a thread of the model's own. A store that does not answer is waited for, and told of; a model that
does not get ready in its time is given up, and its thread left to it.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from service.artifacts.look import Look, Stamp
from service.artifacts.manifest import ArtifactError, ArtifactUnreadable
from service.engine.loading import Artifact
from service.errors import outcome
from service.rollout.asking import Asking
from service.rollout.attempt import Attempt, NeverReady
from service.rollout.lone_thread import LoneThread
from service.rollout.placing import Placing
from service.serving.loading import Loader, Ready
from service.serving.metrics import Metrics
from service.serving.registry import Registry
from service.serving.served import ModelState

# Models get ready in turn, for each finds its quickest way by the clock; one waits so long for another.
TURN_S = 5.0

# So many that do not get ready may go on, each on a processor, before none is tried any more.
MAX_OVERDUE = 3


class Loads:
    """What all models share: whose turn it is to get ready, and which have not in their time."""

    def __init__(self, at_most_s: float) -> None:
        self.at_most_s = at_most_s
        self.underway: set[asyncio.Future[Ready | Exception]] = set()
        self.overdue: set[asyncio.Future[Ready | Exception]] = set()
        self._turn = asyncio.Lock()

    async def ready(
        self, title: str, thread: LoneThread, prepare: Callable[[], Ready]
    ) -> Ready | Exception:
        """What `prepare` makes of the version called `title`, on `thread`."""
        if len(self.overdue) >= MAX_OVERDUE:
            return ArtifactUnreadable(  # for now: they may only be slow
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
        self, title: str, thread: LoneThread, prepare: Callable[[], Ready]
    ) -> Ready | Exception:
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


class Follower:
    """Follows the store for one model: what is live, and the versions that are loaded beside it."""

    def __init__(
        self,
        name: str,
        registry: Registry,
        loader: Loader,
        placing: Placing,
        metrics: Metrics,
        loads: Loads,
        keep: int,
    ) -> None:
        """`keep`: so many versions are loaded, the live one and the newest others."""
        self.name = name
        self._gone = False
        self._registry = registry
        self._loader = loader
        self._placing = placing
        self._metrics = metrics
        self._loads = loads
        self._keep = keep
        self._store = Asking(name, self._note_silence)
        self._live = Attempt()
        self._beside: dict[int, Attempt] = {}
        self._told: tuple[Stamp, str] | None = None
        self._wrong: str | None = None
        for what in ("loaded", "refused"):
            metrics.reloads(name, what)  # from 0 on: Prometheus sees no increase in what begins with 1

    @property
    def _state(self) -> ModelState:
        """What is known of it now: a model that is unloaded begins anew."""
        return self._registry.state(self.name)

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

    def close(self) -> None:
        self._store.close()

    async def look(self) -> None:
        """Take up what became live since the last look, and what failed and may not do so any more."""
        look = await self._store.ask(lambda: self._loader.store.look(self.name, self._keep))
        if self._gone:
            return
        if isinstance(look, Exception):
            self._refuse(look, ())
        elif not (isinstance(look.current, ArtifactUnreadable) and look.current.missing):  # it is going
            self._state.look = look
            await self._follow_live(look)
            await self._follow_others(look)
        self.tried.set()

    def _note_silence(self, since: datetime | None) -> None:
        self._state.silent_since = since

    async def _follow_live(self, look: Look) -> None:
        wrong = str(look.current) if isinstance(look.current, ArtifactError) else None
        self._live.see(look.files)
        if isinstance(look.current, ArtifactError):
            # Who writes it in two steps, as a shell does, is given until the next look for the second.
            if wrong == self._wrong or not self.tried.is_set():
                self._refuse(look.current, look.written)
        else:
            if self._live.due(look.written):
                await self._try(look, look.current)
            if failure := look.lacking or self._live.failure:
                self._refuse(failure, look.written)
            elif not self._gone:
                self._state.refused = None
        self._wrong = wrong

    async def _try(self, look: Look, version: int) -> None:
        self._live.begin(look.written)
        failure: Exception | None
        if known := self._state.beside(version):
            failure = outcome(self._placing.adopt, known)
        else:
            failure = await self._placed(version, self._placing.take_up)
        self._live.end(failure)
        if not failure:
            self._told = None

    async def _follow_others(self, look: Look) -> None:
        """They keep nobody waiting, and are no reason not to be ready."""
        self._settle(look)
        for version in self._beside.keys() - look.beside.keys():
            del self._beside[version]
        for version, files in look.beside.items():
            attempt = self._beside.setdefault(version, Attempt())
            attempt.see(files)
            if version in self._state.loaded or self._gone or not attempt.due(()):
                continue
            attempt.begin(())
            attempt.end(await self._placed(version, self._placing.take_beside))
            if attempt.failure and not self._gone:
                self._state.keep_out(version, attempt.failure)
        self._settle(look)

    def _settle(self, look: Look) -> None:
        if not self._gone:
            self._placing.settle(self.name, look)

    async def _placed(self, version: int, place: Callable[[Ready], None]) -> Exception | None:
        """Load it and have it put in its place; or why that could not be."""
        loaded = await self._loaded(version)
        if isinstance(loaded, Exception):
            return loaded
        placed = None if self._gone else outcome(place, loaded)
        return placed if isinstance(placed, Exception) else None

    async def _loaded(self, version: int) -> Ready | Exception:
        read = await self._store.ask(lambda: self._loader.read_version(self.name, version))
        if isinstance(read, Exception):
            return read
        artifact: Artifact = read
        return await self._loads.ready(
            artifact.title, self._store.thread, lambda: self._loader.prepare(artifact)
        )

    def _refuse(self, error: Exception, written: Stamp) -> None:
        """Say why in `GET /models`; in the log once, until `current` is written or the reason changes."""
        if self._gone:
            return
        news = (written, str(error))
        self._state.refuse(error, tell=news != self._told)
        if news != self._told:
            self._metrics.reloads(self.name, "refused").inc()
        self._told = news
