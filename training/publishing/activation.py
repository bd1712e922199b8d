"""Where a version is published, whether it becomes the live one, and the line that says why."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from service.artifacts.manifest import Manifest
from service.artifacts.pointers import CURRENT_FILE
from service.artifacts.signatures import SigningKey
from service.artifacts.store import ArtifactStore
from training.evaluation.comparison import should_go_live

DEFAULT_ROOT = "artifacts"  # which `python -m service` looks into when it is told nothing


def _nobody(line: str) -> None:
    """Nobody wants to know."""


class Activation(NamedTuple):
    """What was asked for, and who is told what came of it.

    `wanted`: None makes a version live unless the live one is better, True always, False never.
    """

    wanted: bool | None = None
    tell: Callable[[str], object] = _nobody

    def carry_out(
        self, new: Manifest, signed: bool, store: ArtifactStore, verify: Callable[[Path], None]
    ) -> None:
        """Make `new` the live version or not. The caller holds the lock.

        Where that cannot be done it is told: an error would have all be done again, and published twice.
        """
        try:
            came = self._outcome(new, signed, store, verify)
        except OSError as error:
            why = f"`{CURRENT_FILE}` cannot be written: {error.strerror}"
            came = f"is published and not live, as {why}; {_how(new, store)}"
        self.tell(f"{new.name}/{new.version} {came}")

    def _outcome(
        self, new: Manifest, signed: bool, store: ArtifactStore, verify: Callable[[Path], None]
    ) -> str:
        """Raises OSError."""
        if self.wanted is False:
            return f"is not live, as asked; {_how(new, store)}"
        comparison = should_go_live(new, signed, store, verify)
        if self.wanted or comparison.as_good:
            store.activate(new.name, new.version)
            return f"is live{', as asked' if self.wanted else ''}: {comparison.figures}"
        live = f"{new.name}/{store.current(new.name)}"
        return f"is not live, {live} stays: {comparison.figures}; {_how(new, store)}"


IF_AS_GOOD = Activation()


class Publication(NamedTuple):
    """Where to, signed by what, and whether it becomes live."""

    store: ArtifactStore
    key: SigningKey | None = None
    activation: Activation = IF_AS_GOOD


def _how(new: Manifest, store: ArtifactStore) -> str:
    command = ["python", "-m", "service", "models", "activate", new.name, str(new.version)]
    if store.address != DEFAULT_ROOT:
        command += ["--artifacts", store.address]
    return f"to make it live: {shlex.join(command)}"
