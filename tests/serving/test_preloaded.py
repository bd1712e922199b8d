"""Models that the process had when it came to be: taken once, and only for the very version."""

from pathlib import Path

import pytest

from service.artifacts.store import ArtifactStore
from service.endpoints.kinds import endpoint_of
from service.engine.loading import load
from service.engine.predictor import Predictor
from service.serving.loading import Loader, Preloaded
from tests.conftest import CPU


@pytest.fixture
def held(published: Path) -> Predictor:
    return load(published / "digit" / "1", CPU)


@pytest.fixture
def loader(published: Path, held: Predictor) -> Loader:
    store, preloaded = ArtifactStore(published), Preloaded()
    preloaded.add(Loader(store, endpoint_of, CPU).read_version("digit", 1), lambda: held)
    return Loader(store, endpoint_of, CPU, preloaded=preloaded)


def test_its_archive_is_not_read_again_until_it_is_taken(loader: Loader, held: Predictor) -> None:
    artifact = loader.read_version("digit", 1)
    assert artifact.model is None
    assert loader.prepare(artifact).predictor is held
    again = loader.read_version("digit", 1)
    assert again.model
    assert loader.prepare(again).predictor is not held


def test_one_that_another_has_taken_since_is_read(loader: Loader, held: Predictor) -> None:
    """As by a model that is unloaded and loaded again at once."""
    first, second = loader.read_version("digit", 1), loader.read_version("digit", 1)
    assert loader.prepare(first).predictor is held
    assert loader.prepare(second).predictor is not held


def test_another_manifest_is_another_model(published: Path, held: Predictor) -> None:
    """The same number and the same archive: what is said of it counts too."""
    artifact = Loader(ArtifactStore(published), endpoint_of, CPU).read_version("digit", 1)
    preloaded = Preloaded()
    preloaded.add(artifact, lambda: held)
    other = artifact.manifest.model_copy(update={"sha256": "0" * 64})
    assert preloaded.holds(artifact.title, artifact.manifest)
    assert not preloaded.holds(artifact.title, other)
    assert preloaded.take(artifact._replace(manifest=other)) is None
    assert preloaded.take(artifact) is held
