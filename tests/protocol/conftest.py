"""One real service over models of every kind."""

import shutil
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import COMMITTED, DIGIT_VERSION, OLDER_DIGIT_VERSION, Served, rpc_address_of, served
from tests.endpoints.tiny_models import publish_house, publish_loan, publish_plot

# Of the committed models.
VERSIONS = {"digit": (OLDER_DIGIT_VERSION, DIGIT_VERSION), "object": ("4",), "pass": ("1",)}


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The committed models, two versions of `digit`; and tables of categories and of several numbers."""
    root = tmp_path_factory.mktemp("artifacts")
    for name, versions in VERSIONS.items():
        for version in versions:
            shutil.copytree(COMMITTED / name / version, root / name / version)
        (root / name / "current").write_text(f"{versions[-1]}\n")
    for publish in (publish_loan, publish_house, publish_plot):
        publish(root)
    options = ("--keep", "2", "--max-body-bytes", "1000000", "--grpc-port", "0")
    with served("--artifacts", str(root), *options) as running:
        yield running


@pytest.fixture(scope="session")
def service(running: Served) -> httpx.Client:
    return running.client


@pytest.fixture(scope="session")
def rpc_address(running: Served) -> str:
    return rpc_address_of(running)
