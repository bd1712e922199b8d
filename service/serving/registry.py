"""The models by name: what is live of each, and why it is missing."""

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime

import torch

from service.artifacts.manifest import Manifest, printable
from service.errors import NotReady, UnknownModel, UnknownVersion
from service.problems import some_of
from service.serving.served import ModelState, Served

logger = logging.getLogger(__name__)

SHOWN_NAMES = 20  # in a message


class Registry:
    """Holds what is live of each model, and what stands in the way of what should be.

    The store says which models there are; those in `required` must be among them. `unlisted`: why it has
    not; `silent_since`: since when it does not answer. `hung`: what never ends, by the model that computes
    it: unless it is empty the process has to be ended.
    """

    def __init__(self, device: torch.device, required: Iterable[str]) -> None:
        self.device = device
        self.stopping = False
        self.unlisted: str | None = "the store has not been looked at yet"
        self.silent_since: datetime | None = None
        self.hung: dict[str, str] = {}
        self._required = frozenset(required)
        self._states: dict[str, ModelState] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What is found or required, in order."""
        return tuple(sorted(self._required.union(self._found())))

    @property
    def missing(self) -> int:
        """How many of them are not served, though nobody has unloaded them."""
        states = map(self.state, self.names)
        return sum(not (state.live or state.unloaded) for state in states)

    def state(self, name: str) -> ModelState:
        """What is known of a model; of one that there is not, nothing, and what is noted there is lost."""
        return self._states.get(name) or ModelState(name)

    def knows(self, name: str) -> bool:
        """Whether it is found or required."""
        return name in self._required or self.state(name).found

    def get(self, name: str) -> Served:
        """What is live of `name`. Raises UnknownModel or NotReady."""
        served = self.state(name).live or self.live(name)
        if served is None:
            raise NotReady(f"Model {name!r} is not ready to serve.")
        return served

    def live(self, name: str) -> Served | None:
        """What is live of `name`, or None while nothing is. Raises UnknownModel, or NotReady.

        NotReady: nobody knows yet which models there are.
        """
        if not self.knows(name):
            if self.unlisted and not any(self._found()):
                raise NotReady(f"Which models there are is not known: {self._why_unlisted()}.")
            there = some_of(self.names, SHOWN_NAMES) or "none"
            raise UnknownModel(f"There is no model {name!r}; there are {there}.")
        return self.state(name).live

    def manifests(self) -> list[Manifest]:
        """The manifest of every live model."""
        return [served.manifest for served in self.all_live()]

    def all_live(self) -> list[Served]:
        """What is live of every model."""
        return [state.live for state in self._states.values() if state.live]

    def version(self, name: str, version: str) -> Served:
        """One that is loaded. Raises UnknownModel, UnknownVersion or NotReady."""
        state = self.state(name)
        if not state.loaded:
            self.get(name)
        for number, served in state.loaded.items():
            if str(number) == version:
                return served
        there = ", ".join(map(str, state.versions))
        raise UnknownVersion(f"Version {printable(version)} of {name!r} is not loaded; there is {there}.")

    def loaded(self) -> list[Manifest]:
        """The manifest of every version that a request may be answered by."""
        return [served.manifest for served in self.all_served()]

    def all_served(self) -> list[Served]:
        """Every version that a request may be answered by."""
        return [served for state in self._states.values() for served in state.loaded.values()]

    def refused(self, name: str) -> str | None:
        """Why the version that should be live is not, or None; an older one may be serving."""
        state = self.state(name)
        return None if state.live and not state.refused else self._why_refused(name)

    def unready(self) -> dict[str, str]:
        """What stands in the way of serving, each with the reason. Empty means ready."""
        if self.stopping:
            return {"service": "stopping"}
        if not self.names:
            return {"store": self._why_unlisted() or "there is no model in it"}
        missing = {name: self._why_missing(name) for name in self.names if self._is_missing(name)}
        return missing | self.hung

    def absent(self) -> dict[str, str]:
        """Of it what the store has not at all: of what it has, the log says why it is not served."""
        return {what: why for what, why in self.unready().items() if not self.state(what).found}

    def _is_missing(self, name: str) -> bool:
        """What comes later to a service that serves others is no reason to send it nothing."""
        state = self.state(name)
        return not (state.live or state.unloaded) and (state.awaited or not self.manifests())

    def _why_missing(self, name: str) -> str:
        since = self.state(name).silent_since
        return _silent(since) if since else self._why_refused(name)

    def _why_refused(self, name: str) -> str:
        state = self.state(name)
        if state.found:
            return state.refused or "not loaded yet"
        return self._why_unlisted() or f"there is no model {name!r} in the store"

    def _why_unlisted(self) -> str | None:
        return _silent(self.silent_since) if self.silent_since else self.unlisted

    def _found(self) -> Iterator[str]:
        return (name for name, state in self._states.items() if state.found)

    def stop(self) -> None:
        """Be ready no more; what is asked nevertheless is answered."""
        self.stopping = True

    def find(self, name: str) -> None:
        """There is a model of that name, of which nothing is live yet."""
        state = self._states.setdefault(name, ModelState(name))
        state.found, state.awaited = True, name in self._required or not self.manifests()
        if state.unloaded:
            state.unloaded, state.refused = False, None

    def lose(self, name: str) -> list[Served]:
        """Forget a model that is gone. Returns what was loaded of it."""
        logger.info("model %s is gone from the store, and served no longer", name)
        lost = self.state(name)
        self._states.pop(name, None)
        return list(lost.loaded.values())

    def unload(self, name: str) -> list[Served]:
        """Serve it no longer, because a request said so. Returns what was loaded of it."""
        logger.info("model %s is unloaded", name)
        before = self.state(name)
        self._states[name] = ModelState(name, before.found, unloaded=True, refused="unloaded by a request")
        return list(before.loaded.values())

    def adopt(self, served: Served) -> Served | None:
        """Make it the live one of its name: from here on every new request is answered by it.

        Returns what it replaces: the same version, as it was before.
        """
        manifest = served.manifest
        state = self.state(manifest.name)
        replaced = state.load(served)
        state.live, state.refused = served, None
        logger.info("model %s version %d ready on %s", manifest.name, manifest.version, self.device)
        return replaced

    def hang(self, hung: dict[str, str]) -> None:
        """Note what never ends; called on another thread."""
        self.hung = hung


def _silent(since: datetime) -> str:
    return f"the store has not answered since {since:%Y-%m-%dT%H:%M:%SZ}"
