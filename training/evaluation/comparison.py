"""Whether a new version is at least as good as the live one, on the same rows."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from service.artifacts.manifest import ArtifactError, Manifest, Metric
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import is_signed, read_manifest, title

SPLITS = ("test", "validation", "train")  # the first that both were measured on decides
# In this order: the next one decides where the one before is equal. True: more is better.
FIGURES = {"accuracy": True, "r-squared": True, "negative-log-likelihood": False}
DIGITS = 6  # significant ones; beyond them lie other processors and thread counts


class Comparison(NamedTuple):
    """What came of it, and the words for it."""

    as_good: bool
    figures: str


UNSIGNED = Comparison(False, "the live version is signed and this one is not")


def compare(new: Manifest, live: Manifest) -> Comparison:
    """Compare by accuracy, then by loss. One measured on other rows does not count as as good."""
    data = [manifest.training and manifest.training.data_sha256 for manifest in (new, live)]
    if None in data:
        return Comparison(False, "nobody knows what they were trained on, so they cannot be compared")
    if data[0] != data[1]:
        return Comparison(False, "they were trained and measured on other data, and cannot be compared")
    for split in SPLITS:
        pairs = [pair for name in FIGURES if (pair := _pair(new, live, name, split))]
        if pairs:
            return _compared(pairs)
    return Comparison(False, "no figure of both is of the same split, so they cannot be compared")


def should_go_live(
    new: Manifest, signed: bool, store: ArtifactStore, verify: Callable[[Path], None]
) -> Comparison:
    """Compare with the live version; one that is missing or unfit to serve is no reason to hold back.

    Where this one is not `signed`, a service that trusts who signed the live one would refuse it.

    `verify` loads a version as the service would and raises ArtifactError where it is refused.
    """
    try:
        number = store.current(new.name)
        folder = store.folder(new.name, number)
        live = read_manifest(folder)
        comparison = UNSIGNED if is_signed(folder) and not signed else compare(new, live)
        if (live.name, live.version) != (new.name, number):
            raise ArtifactError(f"{title(folder)} holds the manifest of {live.name}/{live.version}")
        if not comparison.as_good:
            verify(folder)
    except ArtifactError as error:
        return Comparison(True, f"there was nothing to compare with: {error}")
    return comparison


def _pair(new: Manifest, live: Manifest, name: str, split: str) -> tuple[Metric, Metric] | None:
    try:
        pair = new.metric(name, split), live.metric(name, split)
    except KeyError:
        return None
    return pair if pair[0].n == pair[1].n else None


def _compared(pairs: list[tuple[Metric, Metric]]) -> Comparison:
    words = []
    for new, live in pairs:
        values = [f"{metric.value:.{DIGITS}g}" for metric in (new, live)]
        words.append(f"{new.name} ({new.split}, n = {new.n:,}) is {values[0]} and was {values[1]}")
        new_value, live_value = map(float, values)
        if new_value != live_value:
            return Comparison((new_value > live_value) == FIGURES[new.name], "; ".join(words))
    return Comparison(True, "; ".join(words))
