"""The models by name: what is live of each, and why it is missing."""

import logging
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

import torch

from service.artifacts.look import Look
from service.artifacts.manifest import Manifest, printable
from service.errors import NotReady, UnknownModel, UnknownVersion
from service.problems import some_of
from service.serving.served import ModelState, Served

logger = logging.getLogger(__name__)

SHOWN_NAMES = 20  # in a message


class Registry:
    """Holds what is live of each model, and what stands in the way of what should be.

    The store says which models there are; those in `required` must be among them.
    """

    def __init__(self, device: torch.device, required: Iterable[str]) -> None:
        self.device = device
        self.stopping = False
        self._required = frozenset(required)
        self._states: dict[str, ModelState] = {}
        self._unlisted: str | None = "the store has not been looked at yet"
        self._silent_since: datetime | None = None
        self._hung: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What is found or required, in order."""
        return tuple(sorted(self._required.union(self._found())))

    def knows(self, name: str) -> bool:
        """Whether it is found or required."""
        return name in self._required or self._known(name).found

    def get(self, name: str) -> Served:
        """What is live of `name`. Raises UnknownModel or NotReady."""
        served = self._known(name).live or self.live(name)
        if served is None:
            raise NotReady(f"Model {name!r} is not ready to serve.")
        return served

    def live(self, name: str) -> Served | None:
        """What is live of `name`, or None while nothing is. Raises UnknownModel, or NotReady.

        NotReady: nobody knows yet which models there are.
        """
        if not self.knows(name):
            if self._unlisted and not any(self._found()):
                raise NotReady(f"Which models there are is not known: {self._why_unlisted()}.")
            there = some_of(self.names, SHOWN_NAMES) or "none"
            raise UnknownModel(f"There is no model {name!r}; there are {there}.")
        return self._known(name).live

    def manifests(self) -> list[Manifest]:
        """The manifest of every live model."""
        return [state.live.manifest for state in self._states.values() if state.live]

    def version(self, name: str, version: str) -> Served:
        """One that is loaded. Raises UnknownModel, UnknownVersion or NotReady."""
        loaded = self._known(name).loaded
        if not loaded:
            self.get(name)
        for number, served in loaded.items():
            if str(number) == version:
                return served
        there = ", ".join(map(str, sorted(loaded)))
        raise UnknownVersion(f"Version {printable(version)} of {name!r} is not loaded; there is {there}.")

    def versions(self, name: str) -> tuple[int, ...]:
        """The versions that are loaded, ascending."""
        return tuple(sorted(self._known(name).loaded))

    def beside(self, name: str, version: int) -> Served | None:
        """A version that is loaded and not live."""
        state = self._known(name)
        served = state.loaded.get(version)
        return None if served is state.live else served

    def loaded(self) -> list[Manifest]:
        """The manifest of every version that a request may be answered by."""
        return [served.manifest for served in self.all_served()]

    def all_served(self) -> list[Served]:
        """Every version that a request may be answered by."""
        return [served for state in self._states.values() for served in state.loaded.values()]

    def refused(self, name: str) -> str | None:
        """Why the version that should be live is not, or None; an older one may be serving."""
        state = self._known(name)
        return None if state.live and not state.refused else self._why_refused(name)

    def available(self, name: str) -> tuple[int, ...]:
        """The newest versions that were published when the store was last looked at, ascending."""
        return self._known(name).available

    def labels(self, name: str) -> dict[str, int]:
        """The versions that have labels, as the store says."""
        return self._known(name).labels

    def kept_out(self, name: str) -> dict[int, str]:
        """Why versions that should be loaded beside the live one are not, or get no share."""
        return self._known(name).kept_out

    def is_unloaded(self, name: str) -> bool:
        """Whether a request said that it is not to be served."""
        return self._known(name).unloaded

    def silent_since(self, name: str) -> datetime | None:
        """Since when the store has not answered what it was asked of `name`, or None: it does."""
        return self._known(name).silent_since

    def hung(self) -> dict[str, str]:
        """What never ends, by the model that computes it. Not empty: the process has to be ended."""
        return self._hung

    def unready(self) -> dict[str, str]:
        """What stands in the way of serving, each with the reason. Empty means ready."""
        if self.stopping:
            return {"service": "stopping"}
        if not self.names:
            return {"store": self._why_unlisted() or "there is no model in it"}
        missing = {name: self._why_missing(name) for name in self.names if self._is_missing(name)}
        return missing | self._hung

    def absent(self) -> dict[str, str]:
        """Of it what the store has not at all: of what it has, the log says why it is not served."""
        return {what: why for what, why in self.unready().items() if not self._known(what).found}

    def _is_missing(self, name: str) -> bool:
        """What comes later to a service that serves others is no reason to send it nothing."""
        state = self._known(name)
        return not (state.live or state.unloaded) and (state.awaited or not self.manifests())

    def _why_missing(self, name: str) -> str:
        since = self.silent_since(name)
        return _silent(since) if since else self._why_refused(name)

    def _why_refused(self, name: str) -> str:
        state = self._known(name)
        if state.found:
            return state.refused or "not loaded yet"
        return self._why_unlisted() or f"there is no model {name!r} in the store"

    def _why_unlisted(self) -> str | None:
        return _silent(self._silent_since) if self._silent_since else self._unlisted

    def _known(self, name: str) -> ModelState:
        """To be read."""
        return self._states.get(name) or ModelState(name)

    def _state(self, name: str) -> ModelState:
        """To be changed."""
        return self._states.setdefault(name, ModelState(name))

    def _found(self) -> Iterator[str]:
        return (name for name, state in self._states.items() if state.found)

    def stop(self) -> None:
        """Be ready no more; what is asked nevertheless is answered."""
        self.stopping = True

    def find(self, name: str) -> None:
        """There is a model of that name, of which nothing is live yet."""
        state = self._state(name)
        state.found, state.awaited = True, name in self._required or not self.manifests()
        if state.unloaded:
            state.unloaded, state.refused = False, None

    def lose(self, name: str) -> list[Served]:
        """Forget a model that is gone. Returns what was loaded of it."""
        logger.info("model %s is gone from the store, and served no longer", name)
        lost = self._states.pop(name, ModelState(name))
        return list(lost.loaded.values())

    def unload(self, name: str) -> list[Served]:
        """Serve it no longer, because a request said so. Returns what was loaded of it."""
        logger.info("model %s is unloaded", name)
        before = self._known(name)
        self._states[name] = ModelState(name, before.found, unloaded=True, refused="unloaded by a request")
        return list(before.loaded.values())

    def list_(self, failure: str | None) -> None:
        """The store was asked for its models, or why that could not be."""
        self._unlisted = failure

    def adopt(self, served: Served) -> Served | None:
        """Make it the live one of its name: from here on every new request is answered by it.

        Returns what it replaces: the same version, as it was before.
        """
        manifest = served.manifest
        state = self._state(manifest.name)
        replaced = state.load(served)
        state.live, state.refused = served, None
        logger.info("model %s version %d ready on %s", manifest.name, manifest.version, self.device)
        return replaced

    def load_beside(self, served: Served) -> Served | None:
        """Have it answer who asks for its version. Returns what it replaces."""
        return self._state(served.manifest.name).load(served)

    def retain(self, name: str, versions: Collection[int]) -> list[Served]:
        """Let go all but these versions and the live one. Returns what was loaded of the others."""
        return self._known(name).retain(versions)

    def keep_out(self, name: str, version: int, error: Exception) -> None:
        """Do without a version beside the live one, and say so once."""
        self._state(name).keep_out(version, error)

    def refuse(self, name: str, error: BaseException, tell: bool = True) -> None:
        """Keep a version out, and `tell` the log; what is live stays."""
        self._state(name).refuse(error, tell)

    def clear(self, name: str) -> None:
        """There is nothing to refuse any longer: what is live is what should be."""
        self._state(name).refused = None

    def see(self, name: str, look: Look) -> None:
        """Note what the store has."""
        self._state(name).look = look

    def silent(self, name: str | None, since: datetime | None) -> None:
        """Note that the store does not answer what is asked of a model, or does so again; None: of all."""
        if name is None:
            self._silent_since = since
        elif since or name in self._states:
            self._state(name).silent_since = since

    def hang(self, hung: dict[str, str]) -> None:
        """Note what never ends; called on another thread."""
        self._hung = hung


def _silent(since: datetime) -> str:
    return f"the store has not answered since {since:%Y-%m-%dT%H:%M:%SZ}"
