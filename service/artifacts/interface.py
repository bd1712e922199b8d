"""What a model reads and what it answers, as its manifest says it.

Only what the archive cannot do stands here: what a request may say, how a picture becomes its pixels, and
what the outputs mean. Normalisation, categories as numbers and missing values are the archive's own.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PositiveInt, Tag

DType = Literal["uint8", "float32"]
Polarity = Literal["light-on-dark"]
Resize = Literal["crop", "stretch", "mnist"]

MAX_COLUMNS, MAX_CATEGORIES, MAX_LABELS, MAX_SIDE = 1_000, 1_000, 10_000, 1_024

# What stands for nothing in a table of text, beside an empty cell: in small letters.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
MAX_CELL = 1_000  # characters

Text = Annotated[str, Field(min_length=1, max_length=200)]


def read_cell(cell: str, categories: Sequence[str]) -> float | str | None:
    """What a cell of such a table says of a column, with its `categories` if it has some.

    None where nothing is said. What should be a number and is none stays text, to be told of.
    """
    text = cell.strip()
    if text.lower() in MISSING and text not in categories:
        return None
    # Python alone reads 1_000, and the digits of other scripts.
    if categories or len(text) > MAX_CELL or "_" in text or not text.isascii():
        return text
    try:
        return float(text)
    except ValueError:
        return text


class Frozen(BaseModel):
    # `allow_inf_nan=False`: a NaN metric or hyper-parameter is a failed training run.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Column(Frozen):
    """One named value of a row. It reaches the archive as a float32: a category as its place among them."""

    name: Text
    dtype: Literal["float32", "category"] = "float32"
    units: str = Field("", max_length=200)
    minimum: float | None = Field(None, description="The least that a request may say.")
    maximum: float | None = Field(None, description="The most that a request may say.")
    training_minimum: float | None = None
    training_maximum: float | None = None
    categories: tuple[Text, ...] = Field((), max_length=MAX_CATEGORIES)
    optional: bool = Field(False, description="May be missing; then it reaches the archive as NaN.")


class TableInput(Frozen):
    """Rows of named columns: float32 [N, columns]."""

    columns: tuple[Column, ...] = Field(min_length=1, max_length=MAX_COLUMNS)

    @property
    def dtype(self) -> DType:
        return "float32"

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (len(self.columns),)


class PictureInput(Frozen):
    """Pictures: uint8 [N, channels, height, width], grey levels or red, green and blue.

    `resize`: "crop" makes the shorter side `resize_to` pixels long (by default as long as needed) and cuts
    out the middle, as is usual for ImageNet; "stretch" changes both sides; "mnist" finds the ink and
    prepares it as MNIST's digits were.
    """

    height: int = Field(ge=1, le=MAX_SIDE)
    width: int = Field(ge=1, le=MAX_SIDE)
    channels: Literal[1, 3]
    resize: Resize
    resize_to: PositiveInt | None = Field(None, le=2 * MAX_SIDE)
    polarity: Polarity | None = None

    @property
    def dtype(self) -> DType:
        return "uint8"

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width)


def _kind_of_input(value: Any) -> str:
    table = "columns" in value if isinstance(value, dict) else isinstance(value, TableInput)
    return "table" if table else "picture"


Input = Annotated[
    Annotated[TableInput, Tag("table")] | Annotated[PictureInput, Tag("picture")],
    Discriminator(_kind_of_input),
]


class ScoreSpec(Frozen):
    """A last column that is no probability: how little a row looks like the training data, 0 to 1."""

    name: str
    threshold: float = Field(description="Above it a row is called out of distribution.")


class Output(Frozen):
    """What a model answers: float32 [N, columns].

    "binary": one column, the probability of the one label. "classes": the probabilities of the labels, in
    order, and a `score` if there is one. "numbers": a number for each label, in `units`.
    """

    kind: Literal["binary", "classes", "numbers"]
    labels: tuple[Text, ...] = Field(min_length=1, max_length=MAX_LABELS)
    threshold: float | None = Field(None, ge=0, le=1)
    units: str = Field("", max_length=200)
    score: ScoreSpec | None = None

    @property
    def dtype(self) -> DType:
        return "float32"

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (len(self.labels) + (self.score is not None),)
