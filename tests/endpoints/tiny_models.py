"""Tiny nets of any interface, published by our own publish()."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from service.artifacts.interface import Column, Output, PictureInput, TableInput
from service.artifacts.manifest import Kind, Manifest
from service.artifacts.store import ArtifactStore
from training.publishing.publish import Candidate, publish

IRIS = TableInput(
    columns=tuple(
        Column(name=name, units="cm", minimum=0, maximum=100, training_minimum=low, training_maximum=high)
        for name, low, high in (
            ("sepal_length", 4.3, 7.9),
            ("sepal_width", 2.0, 4.4),
            ("petal_length", 1.0, 6.9),
            ("petal_width", 0.1, 2.5),
        )
    )
)
SPECIES = Output(kind="classes", labels=("setosa", "versicolor", "virginica"))

# As pandas writes intervals; and one that takes more bytes in JSON than a number does.
INTERVAL, LONG = "[18, 25): {young}", 20 * "é"

LOAN = TableInput(
    columns=(
        Column(name="age", units="years", minimum=0, maximum=120, training_minimum=18, training_maximum=70),
        Column(
            name="job", dtype="category", categories=("clerk", "smith", "none, yet", "3", INTERVAL, LONG)
        ),
        Column(name="income", optional=True),
        Column(name="town", dtype="category", categories=("Ulm", "Zürich"), optional=True),
    )
)
REPAID = Output(kind="binary", labels=("repaid",), threshold=0.6)

# Names that are no identifiers of Python, or that its objects have.
HOUSE = TableInput(columns=(Column(name="floor area (m²)"), Column(name="class"), Column(name="items")))
PRICES = Output(kind="numbers", labels=("price", "rent"), units="€")

# Names that a spreadsheet might compute, and numbers that it need not.
SUM = Output(kind="numbers", labels=("=SUM(A1)", "-1", "+x", "plain"))
SIGNS = Output(kind="classes", labels=("-1", "+1.5e3", "-1-1", "@x"))

# Its range is of float32 values, as training writes it: neither end is what its text says.
PETAL = TableInput(
    columns=(
        Column(
            name="width",
            training_minimum=float(np.float32(0.2)),
            training_maximum=float(np.float32(0.9)),
        ),
    )
)

# Of what its net writes to.
LEVEL = TableInput(columns=(Column(name="level", training_minimum=0, training_maximum=1),))

COLOURED = PictureInput(height=4, width=6, channels=3, resize="crop")
COLOURS = Output(kind="classes", labels=("red", "green", "blue"))


class TableNet(nn.Module):
    """A linear layer; what is missing is a zero."""

    def __init__(self, columns: int, output: Output) -> None:
        super().__init__()
        self.linear = nn.Linear(columns, len(output.labels))
        self.kind = output.kind

    def forward(self, rows: Tensor) -> Tensor:
        outputs = self.linear(torch.nan_to_num(rows, 0.0))
        if self.kind == "classes":
            return torch.softmax(outputs, 1)
        return torch.sigmoid(outputs) if self.kind == "binary" else outputs


class InPlaceNet(nn.Module):
    """Computes in the memory of its rows, as `nn.ReLU(inplace=True)` does that comes first."""

    def forward(self, rows: Tensor) -> Tensor:
        return rows.clamp_(0, 1).add_(1).repeat(1, 2)


class ColourNet(nn.Module):
    """The likelier a colour, the more of it there is."""

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.softmax(pictures.to(torch.float32).mean([2, 3]) / 32, 1)


def publish_table(root: Path, name: str, rows: TableInput, output: Output, check: Tensor) -> Manifest:
    """Its weights are drawn by a seed."""
    torch.manual_seed(1)
    return _publish(root, name, "table", TableNet(len(rows.columns), output), rows, output, check)


def publish_colours(root: Path, name: str = "colour", rows: PictureInput = COLOURED) -> Manifest:
    check = torch.randint(0, 256, (3, *rows.row_shape), dtype=torch.uint8)
    return _publish(root, name, "picture", ColourNet(), rows, COLOURS, check)


def publish_iris(root: Path) -> Manifest:
    check = torch.tensor([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]])
    return publish_table(root, "iris", IRIS, SPECIES, check)


def publish_loan(root: Path) -> Manifest:
    check = torch.tensor([[30.0, 1.0, 2.0, 0.0], [50.0, 2.0, torch.nan, torch.nan]])
    return publish_table(root, "loan", LOAN, REPAID, check)


def publish_house(root: Path) -> Manifest:
    return publish_table(root, "house", HOUSE, PRICES, torch.tensor([[80.0, 1.0, 2.0], [120.0, 2.0, 0.5]]))


def publish_member(root: Path) -> Manifest:
    """As pandas writes booleans, and R; of one column it is not known which is meant."""
    names = (
        ("pandas", ("False", "True")),
        ("r", ("FALSE", "TRUE", "NA")),
        ("both", ("true", "True", "false")),
    )
    columns = (Column(name=n, dtype="category", categories=c, optional=True) for n, c in names)
    return publish_table(root, "member", TableInput(columns=tuple(columns)), PRICES, torch.eye(3))


def publish_plot(root: Path) -> Manifest:
    """Nothing of it has to be known."""
    rows = TableInput(columns=(Column(name="width", optional=True), Column(name="length", optional=True)))
    return publish_table(root, "plot", rows, PRICES, torch.tensor([[8.0, 1.0], [torch.nan, 2.0]]))


def publish_petal(root: Path) -> Manifest:
    return publish_table(root, "petal", PETAL, PRICES, torch.tensor([[0.2], [0.9]]))


def publish_wish(root: Path) -> Manifest:
    """Its one column need not be known."""
    rows = TableInput(columns=(Column(name="x", optional=True),))
    return publish_table(root, "wish", rows, PRICES, torch.tensor([[0.2], [torch.nan]]))


def publish_sign(root: Path) -> Manifest:
    """Each column is a label's score."""
    rows = TableInput(columns=tuple(Column(name=f"of, {label}") for label in SIGNS.labels))
    net = nn.Softmax(1)
    return _publish(root, "sign", "table", net, rows, SIGNS, torch.eye(4))


def publish_level(root: Path) -> Manifest:
    return _publish(root, "level", "table", InPlaceNet(), LEVEL, PRICES, torch.tensor([[0.25], [-4.0]]))


def publish_sum(root: Path) -> Manifest:
    rows = TableInput(columns=(Column(name="@in"),))
    return publish_table(root, "sum", rows, SUM, torch.tensor([[1.0]]))


def _publish(
    root: Path,
    name: str,
    kind: Kind,
    net: nn.Module,
    rows: TableInput | PictureInput,
    output: Output,
    check: Tensor,
) -> Manifest:
    candidate = Candidate(
        name=name,
        kind=kind,
        net=net,
        input=rows,
        output=output,
        metrics=(),
        training=None,
        check_rows=check,
        proof_rows=check,
        files={},
    )
    return publish(candidate, ArtifactStore(root))
