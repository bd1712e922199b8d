"""What a program may have in its hands, and what it should not give."""

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel

from tests.client.conftest import SEVEN

LEVELS = np.asarray(Image.open(SEVEN).convert("L"))
FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}

PICTURES: dict[str, Callable[[], Any]] = {
    "a path": lambda: SEVEN,
    "its text": lambda: str(SEVEN),
    "bytes": SEVEN.read_bytes,
    "a bytearray": lambda: bytearray(SEVEN.read_bytes()),
    "a memoryview": lambda: memoryview(SEVEN.read_bytes()),
    "an open file": lambda: SEVEN.open("rb"),
    "a file in memory": lambda: BytesIO(SEVEN.read_bytes()),
    "Pillow's": lambda: Image.open(SEVEN),
    "Pillow's of CMYK": lambda: Image.open(SEVEN).convert("RGB").convert("CMYK"),
    "Pillow's of HSV": lambda: Image.open(SEVEN).convert("RGB").convert("HSV"),
    "Pillow's of floats": lambda: Image.open(SEVEN).convert("F"),
    "Pillow's of a palette": lambda: Image.open(SEVEN).convert("P"),
    "Pillow's, premultiplied": lambda: Image.open(SEVEN).convert("RGBA").convert("RGBa"),
    "Pillow's, premultiplied grey": lambda: Image.open(SEVEN).convert("LA").convert("La"),
    "an array": lambda: LEVELS,
    "an array of steps": lambda: np.repeat(LEVELS, 2, axis=1)[:, ::2],
    "an array of bool": lambda: LEVELS > 100,
    "an array, read only": lambda: np.frombuffer(LEVELS.tobytes(), np.uint8).reshape(28, 28),
    "one with a channel last": lambda: LEVELS[:, :, None],
    "one with channels first": lambda: np.stack([LEVELS] * 3),
    "one with channels last": lambda: np.stack([LEVELS] * 3, 2),
    "one with alpha": lambda: np.stack([LEVELS] * 3 + [np.full_like(LEVELS, 255)], 2),
    "a tensor": lambda: torch.from_numpy(LEVELS.copy())[None],
    "a parameter": lambda: torch.from_numpy(LEVELS.copy()).requires_grad_(False),
}


def _closed(one: Any) -> Any:
    one.close()
    return one


def _of_cut_chunks() -> Image.Image:
    """Of a file whose pixels are in a chunk that is said to be shorter than it is."""
    file = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99), np.uint8)).save(file, "PNG")
    content = file.getvalue()
    at = content.index(b"IDAT") - 4
    return Image.open(BytesIO(content[:at] + b"\0\0\0\x10" + content[at + 4 :]))


WRONG_PICTURES: dict[str, Any] = {
    "no such file": "nowhere.png",
    "a folder": SEVEN.parent,
    "floats": LEVELS / 255,
    "tensor of floats": torch.rand(1, 28, 28),
    "several": np.stack([LEVELS] * 2)[:, None],
    "none of it": LEVELS[:0],
    "objects": np.array([[None]]),
    "nothing": None,
    "a number": 7,
    "a path with NUL": "7.png\0",
    "a closed file": _closed(SEVEN.open("rb")),
    "a closed file in memory": _closed(BytesIO(b"")),
    "a closed picture": _closed(Image.new("L", (3, 3))),
    "a picture without pixels": Image.new("L", (0, 3)),
    "a picture of chunks that are cut": _of_cut_chunks(),
    "a tensor of bfloat16": torch.rand(1, 28, 28, dtype=torch.bfloat16),
    "dates": np.array([["2020"]], "M8[D]"),
}


@dataclasses.dataclass
class Cut:
    sepal_length: float
    sepal_width: float
    petal_length: float
    petal_width: float


class Kept(NamedTuple):
    sepal_length: float
    sepal_width: float
    petal_length: float
    petal_width: float


class Measured(BaseModel):
    sepal_length: float
    sepal_width: float
    petal_length: float
    petal_width: float


class Polars:
    """What two libraries of tables have in common with each other, and not with the third."""

    columns = tuple(FLOWER)

    def to_dicts(self) -> list[dict[str, float]]:
        return [FLOWER, FLOWER]


class Lazy:
    """A frame of Polars that is not computed yet."""

    columns = tuple(FLOWER)


class PolarsSeries:
    """It has one dimension, and does not say so."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, at: int) -> float:
        return self.values[at]

    def __array__(self) -> Any:
        return np.array(self.values)

    def item(self) -> float:
        (value,) = self.values
        return value


class PyArrow:
    columns = tuple(FLOWER)

    def to_pylist(self) -> list[dict[str, float]]:
        return [FLOWER, FLOWER]


class Pandas:
    columns = tuple(FLOWER)

    def to_dict(self, orient: str) -> list[dict[str, np.float64]]:
        assert orient == "records"
        return [{name: np.float64(value) for name, value in FLOWER.items()}] * 2


class Series:
    """A row of it, as `iterrows` gives one, of a frame whose columns have another order."""

    values = np.array(list(FLOWER.values())[::-1])

    def to_dict(self) -> dict[str, np.float64]:
        return dict(zip(reversed(FLOWER), self.values, strict=True))

    def tolist(self) -> list[float]:
        return list(self.values.tolist())

    def __array__(self) -> Any:
        return self.values


STRUCTURED = np.array([tuple(FLOWER.values())[::-1]] * 2, [(name, "f8") for name in reversed(FLOWER)])


class NAType:
    """As pandas has what is missing among whole numbers: it equals nothing, and has no truth."""

    def __bool__(self) -> bool:
        raise TypeError


VALUES = list(FLOWER.values())
ROWS: dict[str, Any] = {
    "a dict": FLOWER,
    "NumPy's numbers": {name: np.float64(value) for name, value in FLOWER.items()},
    "decimals": {name: Decimal(str(value)) for name, value in FLOWER.items()},
    "PyTorch's": {name: torch.tensor(value, dtype=torch.float64) for name, value in FLOWER.items()},
    "a dataclass": Cut(*VALUES),
    "a named tuple": Kept(*VALUES),
    "a model": Measured(**FLOWER),
    "an array": np.array(VALUES),
    "a tensor": torch.tensor(VALUES, dtype=torch.float64),
    "a row of pandas": Series(),
    "a row of a structured array": STRUCTURED[0],
}
SEVERAL: dict[str, Any] = {
    "dicts": [FLOWER, FLOWER],
    "columns": {name: [value, value] for name, value in FLOWER.items()},
    "columns of arrays": {name: np.array([value, value]) for name, value in FLOWER.items()},
    "columns of Polars": {name: PolarsSeries(value, value) for name, value in FLOWER.items()},
    "an array": np.array([VALUES, VALUES]),
    "lists": [VALUES, VALUES],
    "records": (Kept(*VALUES), Cut(*VALUES)),
    "as of Polars": Polars(),
    "as of PyArrow": PyArrow(),
    "as of pandas": Pandas(),
    "rows of pandas": [Series(), Series()],
    "a structured array": STRUCTURED,
    "its rows": list(STRUCTURED),
}
WRONG_ROWS: dict[str, Any] = {
    "too few": [VALUES[:3]],
    "infinity": FLOWER | {"petal_width": float("inf")},
    "an integer of too many digits": FLOWER | {"petal_width": 10**5000},
    "an infinite decimal": FLOWER | {"petal_width": Decimal("-Infinity")},
    "an object": FLOWER | {"petal_width": object()},
    "columns of two lengths": {"sepal_length": [1.0], "sepal_width": [1.0, 2.0]},
    "columns and a value": {"sepal_length": [1.0], "sepal_width": 1.0},
    "an array in the place of a value": [FLOWER | {"petal_width": np.array([1.0, 2.0])}],
    "a tensor in the place of a value": [FLOWER | {"petal_width": torch.ones(2)}],
    "a series in the place of a value": [FLOWER | {"petal_width": PolarsSeries(1.0, 2.0)}],
    "dates": np.array(["2020"] * 4, "M8[D]"),
    "a frame that is not computed": Lazy(),
    "a text": "flowers.csv",
    "nothing": None,
    "a number": 7,
}
