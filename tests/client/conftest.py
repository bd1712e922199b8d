"""Services over sockets, of the committed models and of every kind, and clients of them."""

import shutil
from collections.abc import AsyncIterator, Iterator
from math import nan
from pathlib import Path

import pytest
import torch

from abacus_client import AsyncClient, Client
from service.artifacts.interface import Column, Output, TableInput
from tests.client.relay import Relay, relaying
from tests.conftest import COMMITTED
from tests.connections.watched import watched
from tests.endpoints.tiny_models import publish_colours, publish_iris, publish_table

SEVEN = COMMITTED / "digit" / (COMMITTED / "digit" / "current").read_text().strip() / "samples" / "7.png"


# Names that are no identifiers of Python, categories, and what may be missing.
FLAT = TableInput(
    columns=(
        Column(name="floor area (m²)"),
        Column(name="class"),
        Column(name="town", dtype="category", categories=("Ulm", "Zürich"), optional=True),
        Column(name="rooms", optional=True),
    )
)
PRICES = Output(kind="numbers", labels=("price", "rent"), units="€")


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The live versions of `pass` and `digit`."""
    root = tmp_path_factory.mktemp("committed")
    for name in ("pass", "digit"):
        version = (COMMITTED / name / "current").read_text().strip()
        shutil.copytree(COMMITTED / name / version, root / name / version)
        shutil.copy(COMMITTED / name / "current", root / name)
    return root


@pytest.fixture(scope="session")
def address(committed: Path) -> Iterator[str]:
    with watched(committed) as service:
        yield str(service.client.base_url)


@pytest.fixture(scope="session")
def address_of_all(committed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a service that has a tiny model of every other kind, too."""
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(committed, root, dirs_exist_ok=True)
    publish_iris(root)
    publish_colours(root)
    publish_table(root, "flat", FLAT, PRICES, torch.tensor([[80.0, 1.0, 1.0, 2.0], [9.0, 2.0, nan, nan]]))
    with watched(root) as service:
        yield str(service.client.base_url)


@pytest.fixture
def asking(address_of_all: str) -> Iterator[Client]:
    with Client(address_of_all) as client:
        yield client


@pytest.fixture
async def asking_async(address_of_all: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(address_of_all) as client:
        yield client


@pytest.fixture
def relay(address: str) -> Iterator[Relay]:
    with relaying(address) as relay:
        yield relay
