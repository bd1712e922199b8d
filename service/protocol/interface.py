"""The tensors that a model takes and gives, as its manifest says it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from service.artifacts.interface import Output, PictureInput, TableInput
from service.artifacts.manifest import Manifest
from service.protocol.tensors import BOOL, BYTES, Shape

IMAGE, PROBABILITIES, PROBABILITY, ODD = "image", "probabilities", "probability", "out_of_distribution"


class TensorSpec(NamedTuple):
    """One of them; of every row it has `row_shape`. `labels`: what the elements of a row stand for."""

    name: str
    datatype: str
    row_shape: Shape
    optional: bool = False
    labels: Sequence[str] = ()

    @property
    def shape(self) -> list[int]:
        """As the protocol has it: the number of rows is open."""
        return [-1, *self.row_shape]


def inputs_of(manifest: Manifest) -> list[TensorSpec]:
    """Of a table one for each column; of pictures one, of the pixels, or of encoded files (BYTES)."""
    rows = manifest.input
    if isinstance(rows, PictureInput):
        channels, *sides = rows.row_shape
        return [TensorSpec(IMAGE, "UINT8", tuple(sides) if channels == 1 else rows.row_shape)]
    assert isinstance(rows, TableInput)
    return [
        TensorSpec(column.name, BYTES if column.categories else "FP32", (1,), column.optional)
        for column in rows.columns
    ]


def outputs_of(manifest: Manifest) -> list[TensorSpec]:
    """In the order of the columns that the model answers."""
    return list(_outputs(manifest.output))


def _outputs(output: Output) -> Iterator[TensorSpec]:
    if output.kind == "numbers":
        yield from (TensorSpec(label, "FP32", (1,)) for label in output.labels)
        return
    name = PROBABILITY if output.kind == "binary" else PROBABILITIES
    yield TensorSpec(name, "FP32", (len(output.labels),), labels=output.labels)
    if output.score:
        yield TensorSpec(ODD, BOOL, (1,))
