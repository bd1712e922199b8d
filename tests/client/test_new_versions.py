"""A client that is kept learns what the version takes and answers that has become live meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from abacus_client import AsyncClient, BinaryPrediction, Client, InputError, NumbersPrediction
from service.artifacts.interface import Column, Output, TableInput
from service.artifacts.store import ArtifactStore
from tests.client.conftest import SEVEN
from tests.conftest import wait_for
from tests.connections.watched import Watched, watched
from tests.endpoints.tiny_models import publish_colours, publish_table

YES = Output(kind="binary", labels=("yes",), threshold=0.5)
TOTAL = Output(kind="numbers", labels=("total",))


class Served(NamedTuple):
    root: Path
    service: Watched

    @property
    def address(self) -> str:
        return str(self.service.client.base_url)

    def publish(self, *columns: str, output: Output = TOTAL) -> None:
        table = TableInput(columns=tuple(Column(name=name) for name in columns))
        self.switch(publish_table(self.root, "m", table, output, torch.ones(2, len(columns))).version)

    def switch(self, version: int) -> None:
        """Until it is live."""
        ArtifactStore(self.root).activate("m", version)
        wait_for(lambda: self.service.client.get("/models/m").json()["version"] == version)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    publish_table(tmp_path, "m", TableInput(columns=(Column(name="x"),)), YES, torch.ones(2, 1))
    with watched(tmp_path, reload_s=0.05) as service:
        yield Served(tmp_path, service)


@pytest.fixture
def asking(served: Served) -> Iterator[Client]:
    """It has asked once."""
    with Client(served.address) as client:
        client.predict("m", {"x": 1}, result=BinaryPrediction)
        yield client


def test_of_another_output(asking: Client, served: Served) -> None:
    """Whether it is asked about one row or several."""
    served.publish("x")
    assert asking.predict("m", {"x": 1}).version == 2
    assert asking.predict("m", {"x": 1}, result=NumbersPrediction).version == 2
    served.publish("x", output=YES)
    assert [one.version for one in asking.predict("m", [{"x": 1}] * 2)] == [3, 3]
    assert len(asking.predict("m", [{"x": 1}] * 2, result=BinaryPrediction)) == 2


def test_of_more_columns(asking: Client, served: Served) -> None:
    """They do not fit what is known: nothing is sent, but the next time they do."""
    served.publish("x", "y")
    with pytest.raises(InputError):
        asking.predict("m", np.array([1.0, 2.0]))
    assert asking.predict("m", np.array([1.0, 2.0])).version == 2


def test_of_columns_in_another_order(asking: Client, served: Served) -> None:
    """One answer is of what was sent by the order before; no more."""
    pair = np.array([1.0, 2.0])
    served.publish("x", "y")
    assert asking.predict("m", {"x": 1, "y": 2})["total"] == asking.predict("m", pair)["total"]
    served.publish("y", "x")
    asking.predict("m", pair)
    assert asking.predict("m", pair)["total"] == asking.predict("m", {"y": 1, "x": 2})["total"]


def test_of_pictures(asking: Client, served: Served) -> None:
    served.switch(publish_colours(served.root, "m").version)
    with pytest.raises(InputError):
        asking.predict("m", SEVEN)
    assert asking.predict("m", SEVEN).version == 2


async def test_in_an_event_loop(served: Served) -> None:
    async with AsyncClient(served.address) as client:
        await client.predict("m", {"x": 1}, result=BinaryPrediction)
        served.publish("x", "y")
        with pytest.raises(InputError):
            await client.predict("m", np.array([1.0, 2.0]))
        assert (await client.predict("m", np.array([1.0, 2.0]), result=NumbersPrediction)).version == 2
        served.publish("x", "y", output=YES)
        await client.predict("m", {"x": 1, "y": 2})
        await client.predict("m", {"x": 1, "y": 2}, result=BinaryPrediction)
