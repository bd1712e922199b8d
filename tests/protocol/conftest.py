"""One real service over models of every kind."""

import shutil
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import COMMITTED, served
from tests.endpoints.tiny_models import publish_house, publish_loan

VERSIONS = {"digit": (18, 19), "object": (1,), "pass": (1,)}  # of the committed models


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The committed models, two versions of `digit`; and tables of categories and of several numbers."""
    root = tmp_path_factory.mktemp("artifacts")
    for name, versions in VERSIONS.items():
        for version in versions:
            shutil.copytree(COMMITTED / name / str(version), root / name / str(version))
        (root / name / "current").write_text(f"{versions[-1]}\n")
    for publish in (publish_loan, publish_house):
        publish(root)
    with served("--artifacts", str(root), "--keep", "2", "--max-body-bytes", "1000000") as running:
        yield running.client
