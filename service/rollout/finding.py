"""Which models there are: the store says so, and it is asked again and again."""

import asyncio
import logging
from collections.abc import Callable, Collection
from datetime import datetime

from service.artifacts.listing import Listing, listed
from service.artifacts.store import ArtifactStore
from service.rollout.asking import Asking
from service.serving.registry import Registry

logger = logging.getLogger(__name__)

# Each has threads of its own.
MAX_MODELS = 256


class Finder:
    """Has every model of the store followed, or those in `only`, and what is taken away let go."""

    def __init__(
        self,
        registry: Registry,
        store: ArtifactStore,
        only: Collection[str],
        come: Callable[[str], None],
        gone: Callable[[str], None],
    ) -> None:
        self.followed: set[str] = set()
        self._registry = registry
        self._only = frozenset(only)
        self._come = come
        self._gone = gone
        self._artifacts = store
        self._store = Asking("names", self._note_silence)
        self._missing: set[str] = set()
        self._folder: tuple[int, int] | None = None
        self._told: str | None = None

    @property
    def looked(self) -> asyncio.Event:
        """Set once the store has said what there is, or does not answer."""
        return self._store.told

    async def follow(self, every_s: float) -> None:
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """See what has come since the last look, and what is gone."""
        listing = await self._store.ask(lambda: listed(self._artifacts))
        if isinstance(listing, Exception):
            self._registry.unlisted = str(listing)
            self._tell(f"{listing}; what is live stays so")
        else:
            self._registry.unlisted = None
            self._see(listing)
        self.looked.set()

    def close(self) -> None:
        self._store.close()

    def _note_silence(self, since: datetime | None) -> None:
        self._registry.silent_since = since

    def _see(self, listing: Listing) -> None:
        found = [name for name in listing.models if not self._only or name in self._only]
        if not found and self.followed and self._folder not in (None, listing.folder):
            self._tell("the store is another folder, without a model; what is live stays so")
            return
        if found:
            self._folder = listing.folder
        # Who replaces a folder in two steps is given until the next look for the second.
        missing = self.followed - set(found) - listing.unclear
        for name in missing & self._missing:
            self.followed.discard(name)
            self._gone(name)
        self._missing = missing
        new = [name for name in found if name not in self.followed]
        room = max(0, MAX_MODELS - len(self.followed))
        try:
            for name in new[:room]:
                self._come(name)
                self.followed.add(name)
        except RuntimeError as error:  # the system allows no further thread: the next look tries again
            self._tell(f"model {name} cannot be followed: {error}")
            return
        over = ", ".join(new[room:])
        self._tell(f"of more than {MAX_MODELS} models these are not served: {over}" if over else None)

    def _tell(self, news: str | None) -> None:
        """Say it in the log, once."""
        if news and news != self._told:
            logger.error("%s", news[:1000])
        self._told = news
