"""What a store of objects says is live, brought to where it is served from: by one worker at a time."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from threading import Event, Thread

from service.artifacts.files import reason_of
from service.artifacts.pointers import CURRENT_FILE
from service.artifacts.remote.mirror import Failures, Mirror
from service.artifacts.remote.objects import Objects, StoreUnreachable
from service.artifacts.store import ArtifactStore
from service.errors import outcome
from service.settings import Settings

logger = logging.getLogger(__name__)

# At most so long a start waits for the first look, where nothing was brought before, or something was.
START_S, RESTART_S = 30.0, 5.0


class Mirroring:
    """A folder is served as it is. Of a store of objects a mirror is, which is kept up on a thread."""

    def __init__(self, settings: Settings) -> None:
        self._every_s = settings.artifacts_look_s
        self._told = ""
        self._ended = Event()
        if isinstance(settings.artifacts, str):
            self._mirror: Mirror | None = Mirror(
                Objects(settings.artifacts),
                settings.artifacts_cache,
                settings.artifacts_cache_bytes,
                settings.max_model_bytes,
            )
            self._look = partial(self._mirror.follow, settings.keep, settings.models)
            self.store: ArtifactStore = self._mirror.store
        else:
            self._mirror = None
            self.store = ArtifactStore(settings.artifacts)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Returns once there was a look, or there is none in time."""
        if not self._mirror:
            yield
            return
        looked = asyncio.Event()
        loop = asyncio.get_running_loop()
        # A thread that may hang: the network does, whatever limits are set.
        Thread(target=self._keep, args=(loop, looked), name="mirror", daemon=True).start()
        try:
            with suppress(TimeoutError):
                known = os.path.isdir(self.store.root)  # Path's raises where one may not look
                await asyncio.wait_for(looked.wait(), RESTART_S if known else START_S)
            yield
        finally:
            self._ended.set()

    def _keep(self, loop: asyncio.AbstractEventLoop, looked: asyncio.Event) -> None:
        first = True
        while not self._ended.is_set():
            # At first whatever others did: each verifies what was there before.
            found = outcome(partial(self._look, every_s=0 if first else self._every_s))
            self._tell(found)
            if first and not self._ended.is_set():
                first = found is None  # another worker is at it: what it brings is waited for
                if not first:
                    loop.call_soon_threadsafe(looked.set)
            self._ended.wait(min(1.0, self._every_s) if first else self._every_s)

    def _tell(self, found: Failures | Exception | None) -> None:
        """Say what is wrong in the log, once, and when it is over.

        But for what should be live, which is told of its model as it is of any store.
        """
        if found is None:
            return
        if isinstance(found, StoreUnreachable):
            news = str(found.strerror)
        elif isinstance(found, OSError):
            news = f"the cache of the store cannot be written: {reason_of(found)}"
        elif isinstance(found, Exception):
            news = str(found)
        else:
            news = "; ".join(why for path, why in found.items() if not path.endswith(f"/{CURRENT_FILE}"))
        if news and news != self._told:
            logger.error("%s; what is live stays so", news[:1000])
        elif not news and self._told:
            logger.info("the store is read again")
        self._told = self.store.absence = news
