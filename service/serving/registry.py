"""The models by name: what is live of each, and why it is missing."""

import logging
from collections.abc import Collection, Iterable
from datetime import datetime

import torch

from service.artifacts.look import Look
from service.artifacts.manifest import ArtifactError, Manifest, printable
from service.errors import NotReady, UnknownModel, UnknownVersion
from service.serving.served import Served

logger = logging.getLogger(__name__)

SHOWN_NAMES = 20  # in a message


class Registry:
    """Holds what is live of each model, and what stands in the way of what should be.

    The store says which models there are; those in `required` must be among them.
    """

    def __init__(self, device: torch.device, required: Iterable[str] = ()) -> None:
        self.device = device
        self.generation = 0  # another whenever another version, or none, is live of a model
        self._required = tuple(required)
        self._found: set[str] = set()
        self._unloaded: set[str] = set()  # because a request said so
        self._unlisted: str | None = "the store has not been looked at yet"
        self.stopping = False
        self._live: dict[str, Served] = {}
        self._loaded: dict[str, dict[int, Served]] = {}
        self._refused: dict[str, str] = {}
        self._kept_out: dict[str, dict[int, str]] = {}
        self._looks: dict[str, Look] = {}
        self._silent_since: dict[str, datetime] = {}
        self._store_silent_since: datetime | None = None
        self._hung: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What is found or required, in order."""
        return tuple(sorted(self._found.union(self._required)))

    def knows(self, name: str) -> bool:
        """Whether it is found or required."""
        return name in self._found or name in self._required

    def get(self, name: str) -> Served:
        """What is live of `name`. Raises UnknownModel or NotReady."""
        served = self._live.get(name) or self.live(name)
        if served is None:
            raise NotReady(f"Model {name!r} is not ready to serve.")
        return served

    def live(self, name: str) -> Served | None:
        """What is live of `name`, or None while nothing is. Raises UnknownModel, or NotReady.

        NotReady: nobody knows yet which models there are.
        """
        if not self.knows(name):
            if not self._found and self._unlisted:
                raise NotReady(f"Which models there are is not known: {self._why_unlisted()}.")
            raise UnknownModel(f"There is no model {name!r}; there are {_some(self.names)}.")
        return self._live.get(name)

    def manifests(self) -> list[Manifest]:
        """Of every live model."""
        return [served.manifest for served in self._live.values()]

    def version(self, name: str, version: str) -> Served:
        """One that is loaded. Raises UnknownModel, UnknownVersion or NotReady."""
        loaded = self._loaded.get(name, {})
        if not loaded:
            self.get(name)
        for number, served in loaded.items():
            if str(number) == version:
                return served
        there = ", ".join(map(str, sorted(loaded)))
        raise UnknownVersion(f"Version {printable(version)} of {name!r} is not loaded; there is {there}.")

    def versions(self, name: str) -> tuple[int, ...]:
        """Those that are loaded, ascending."""
        return tuple(sorted(self._loaded.get(name, {})))

    def beside(self, name: str, version: int) -> Served | None:
        """A version that is loaded and not live."""
        served = self._loaded.get(name, {}).get(version)
        return None if served is self._live.get(name) else served

    def loaded(self) -> list[Manifest]:
        """Of every version that a request may be answered by."""
        return [served.manifest for served in self.all_served()]

    def all_served(self) -> list[Served]:
        """Whatever a request may be answered by."""
        return [served for loaded in self._loaded.values() for served in loaded.values()]

    def refused(self, name: str) -> str | None:
        """Why the version that should be live is not, or None; an older one may be serving."""
        return None if name in self._live and name not in self._refused else self._why_refused(name)

    def available(self, name: str) -> tuple[int, ...]:
        """The newest versions that were published when the store was last looked at, ascending."""
        return self._looks[name].available if name in self._looks else ()

    def labels(self, name: str) -> dict[str, int]:
        """The versions that have labels, as the store says."""
        labels = self._looks[name].labels if name in self._looks else {}
        return {label: version for label, version in labels.items() if isinstance(version, int)}

    def kept_out(self, name: str) -> dict[int, str]:
        """Why versions that should be loaded beside the live one are not, or get no share."""
        return self._kept_out.get(name, {})

    def is_unloaded(self, name: str) -> bool:
        """Whether a request said that it is not to be served."""
        return name in self._unloaded

    def silent_since(self, name: str) -> datetime | None:
        """Since when the store has not answered what it was asked of `name`, or None: it does."""
        return self._silent_since.get(name)

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

    def _is_missing(self, name: str) -> bool:
        return name not in self._live and not self.is_unloaded(name)

    def _why_missing(self, name: str) -> str:
        since = self.silent_since(name)
        return _silent(since) if since else self._why_refused(name)

    def _why_refused(self, name: str) -> str:
        if name in self._found:
            return self._refused.get(name, "not loaded yet")
        return self._why_unlisted() or f"there is no model {name!r} in the store"

    def _why_unlisted(self) -> str | None:
        since = self._store_silent_since
        return _silent(since) if since else self._unlisted

    def stop(self) -> None:
        """Be ready no more; what is asked nevertheless is answered."""
        self.stopping = True

    def find(self, name: str) -> None:
        """There is a model of that name, of which nothing is live yet."""
        self._found.add(name)
        if self.is_unloaded(name):
            self._unloaded.discard(name)
            self._refused.pop(name, None)

    def lose(self, name: str) -> list[Served]:
        """There is none any longer. Returns what was loaded of it."""
        logger.info("model %s is gone from the store, and served no longer", name)
        self._found.discard(name)
        self._unloaded.discard(name)
        return self._let_go(name)

    def unload(self, name: str) -> list[Served]:
        """It is served no longer, because a request said so. Returns what was loaded of it."""
        logger.info("model %s is unloaded", name)
        self._unloaded.add(name)
        loaded = self._let_go(name)
        self._refused[name] = "unloaded by a request"
        return loaded

    def _let_go(self, name: str) -> list[Served]:
        for known in (self._refused, self._kept_out, self._looks, self._silent_since):
            known.pop(name, None)
        self.generation += 1
        self._live.pop(name, None)
        return list(self._loaded.pop(name, {}).values())

    def list_(self, failure: str | None) -> None:
        """The store was asked for its models, or why that could not be."""
        self._unlisted = failure

    def adopt(self, served: Served) -> Served | None:
        """Make it the live one of its name: from here on every new request is answered by it.

        Returns what it replaces: the same version, as it was before.
        """
        manifest = served.manifest
        replaced = self.load_beside(served)
        self._live[manifest.name] = served
        self._refused.pop(manifest.name, None)
        self.generation += 1
        logger.info("model %s version %d ready on %s", manifest.name, manifest.version, self.device)
        return replaced

    def load_beside(self, served: Served) -> Served | None:
        """Have it answer who asks for its version. Returns what it replaces."""
        manifest = served.manifest
        loaded = self._loaded.setdefault(manifest.name, {})
        replaced = loaded.get(manifest.version)
        loaded[manifest.version] = served
        self._kept_out.get(manifest.name, {}).pop(manifest.version, None)
        return None if replaced is served else replaced

    def retain(self, name: str, versions: Collection[int]) -> list[Served]:
        """Let go all but these versions and the live one. Returns what was loaded of the others."""
        kept_out = self._kept_out.get(name, {})
        for version in kept_out.keys() - set(versions):
            del kept_out[version]
        loaded, live = self._loaded.get(name, {}), self._live.get(name)
        unwanted = [v for v, served in loaded.items() if v not in versions and served is not live]
        return [loaded.pop(version) for version in unwanted]

    def keep_out(self, name: str, version: int, error: Exception) -> None:
        """Do without a version beside the live one, and say so once."""
        expected = isinstance(error, ArtifactError)
        why = str(error) if expected else "it cannot be loaded; the log has the cause"
        kept_out = self._kept_out.setdefault(name, {})
        if kept_out.get(version) != why:
            cause = None if expected else error
            logger.error("model %s does without version %d: %s", name, version, error, exc_info=cause)
        kept_out[version] = why

    def refuse(self, name: str, error: BaseException, tell: bool = True) -> None:
        """Keep a version out, and `tell` the log; what is live stays."""
        expected = isinstance(error, ArtifactError)
        self._refused[name] = str(error) if expected else "it cannot be loaded; the log has the cause"
        if tell:
            logger.error("model %s refused: %s", name, error, exc_info=None if expected else error)

    def clear(self, name: str) -> None:
        """There is nothing to refuse any longer: what is live is what should be."""
        self._refused.pop(name, None)

    def see(self, name: str, look: Look) -> None:
        """Note what the store has."""
        self._looks[name] = look

    def silent(self, name: str | None, since: datetime | None) -> None:
        """Note that the store does not answer what is asked of a model, or does so again; None: of all."""
        if name is None:
            self._store_silent_since = since
        elif since:
            self._silent_since[name] = since
        else:
            self._silent_since.pop(name, None)

    def hang(self, hung: dict[str, str]) -> None:
        """Note what never ends; called on another thread."""
        self._hung = hung


def _silent(since: datetime) -> str:
    return f"the store has not answered since {since:%Y-%m-%dT%H:%M:%SZ}"


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:SHOWN_NAMES]) or "none"
    more = len(names) - SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
