"""Every row of `make test-reliability`: a figure, its bar, and a control that must fail."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from service.artifacts.store import ArtifactStore
from tests.conftest import Digits, digit_candidate
from training.digits.digit_nets import DigitNet, softmax_mlp
from training.pass_recipe import train_pass
from training.publishing.activation import Publication
from training.publishing.publish import publish


class Figure(NamedTuple):
    test: str
    bar: str
    value: str


FIGURE = "reliability"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    figures = [
        Figure(*row)
        for report in reports
        if report.when == "call"
        for name, row in report.user_properties
        if name == FIGURE
    ]
    if not figures:
        return
    table = Table(title="Reliability", show_lines=True)
    for column in ("test", "bar", "measured"):
        table.add_column(column, overflow="fold")
    for figure in figures:
        table.add_row(*figure)
    Console(width=120).print(table)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, str, str], None]:
    """Enter a row of the table: what was tested, what is wanted, what was measured.

    It goes with the test's report, so that it comes from whichever process runs the test.
    """
    properties = request.node.user_properties
    return lambda test, bar, value: properties.append((FIGURE, (test, bar, value)))


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the rows are wanted at full length; CI runs them short."""
    return bool(request.config.getoption("--long"))


class Blockable(nn.Module):
    """A net that takes seconds for a batch with a white square in it, and no time otherwise.

    The wider the square, the more seconds.
    """

    ballast: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.net = DigitNet(softmax_mlp())
        self.register_buffer("ballast", torch.eye(512))

    def forward(self, images: Tensor) -> Tensor:
        rounds = 3  # too slow for the event loop, so that only the device's own thread is blocked
        level = float(images.to(torch.float32).mean((1, 2, 3)).max())
        if level > 110:
            rounds = 600
        if level > 125:
            rounds = 3000
        ballast = self.ballast
        for _ in range(rounds):
            ballast = torch.mm(ballast, self.ballast)
        answer: Tensor = self.net(images)
        return answer * ballast[0, 0]


def white_square(width: int = 18) -> Tensor:
    """`u8 [28, 28]`, in MNIST's form: it blocks a Blockable for seconds, or for many of them if 20 wide."""
    image_u8 = torch.zeros(28, 28, dtype=torch.uint8)
    image_u8[4:24, 14 - width // 2 : 14 + width // 2] = 255
    return image_u8


@pytest.fixture(scope="session")
def blockable(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Path:
    """Artifacts whose `digit` can be blocked for seconds by one request."""
    root = tmp_path_factory.mktemp("blockable")
    torch.manual_seed(0)
    images_u8 = torch.from_numpy(digits.images_u8[:10]).unsqueeze(1)
    publish(digit_candidate(Blockable(), images_u8), ArtifactStore(root))
    train_pass(Publication(ArtifactStore(root)), Console(quiet=True), device=torch.device("cpu"))
    return root
