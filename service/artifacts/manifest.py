"""The artifact format: one folder a version, described by `manifest.json`.

Training writes it and the service reads it, so this module needs neither torch nor a web framework.
`store` has the folders.
"""

import base64
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PositiveInt

MODEL_FILE = "model.pt"
MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"

ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
DType = Literal["uint8", "float32"]
Polarity = Literal["light-on-dark"]
Task = Literal["binary-classification", "image-classification"]


# The longest that a message shows of what others wrote.
MAX_SHOWN = 200


class ArtifactError(Exception):
    """An artifact that must not be served: missing, altered, malformed or answering wrongly."""


class ArtifactUnreadable(ArtifactError):
    """A file of it is not there (`missing`), or is not read: for now, perhaps."""

    def __init__(self, message: str, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


def printable(text: str, at_most: int = MAX_SHOWN) -> str:
    """What others wrote, as a person can be shown it: escaped where it would act on a terminal or a log."""
    shown = text if len(text) <= at_most else text[:at_most] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)


class _Frozen(BaseModel):
    # `allow_inf_nan=False`: a NaN metric or hyper-parameter is a failed training run.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _TensorSpec(_Frozen):
    """One batch of rows; -1 in `shape` is their number."""

    name: str
    dtype: DType
    shape: tuple[int, ...] = Field(min_length=2, max_length=8)

    @property
    def row_shape(self) -> tuple[int, ...]:
        return self.shape[1:]


class InputSpec(_TensorSpec):
    """What a model reads."""

    units: str
    minimum: float
    maximum: float
    training_minimum: float
    training_maximum: float
    polarity: Polarity | None = None


class ScoreSpec(_Frozen):
    """A last column that is no probability: how little a row looks like the training data, 0 to 1."""

    name: str
    threshold: float = Field(description="Above it a row is called out of distribution.")


class OutputSpec(_TensorSpec):
    """What a model answers; `labels` name the columns, in order. A `score` is one column more."""

    labels: tuple[str, ...]
    threshold: float | None = Field(None, ge=0, le=1)
    score: ScoreSpec | None = None


class Metric(_Frozen):
    """Of `split`: MNIST's own, `drawn` (sheets and non-digits made by a program) or `other` (not MNIST)."""

    name: str
    value: float
    split: Literal["train", "validation", "test", "drawn", "other"]
    n: int = Field(ge=1, description="Rows that the value was computed on.")


class TrainingRecord(_Frozen):
    """Everything needed to train the same weights again."""

    recipe: str
    hyperparameters: dict[str, str | int | float | bool]
    seed: int
    device: str
    torch_version: str
    git_commit: str | None
    data_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    seconds: float = Field(ge=0)


class TensorData(_Frozen):
    """A tensor in JSON, exact to the bit: base64 of its row-major, little-endian bytes."""

    dtype: DType
    shape: tuple[PositiveInt, ...] = Field(min_length=1, max_length=8)
    data: str

    @classmethod
    def encode(cls, dtype: DType, shape: tuple[int, ...], raw: bytes) -> "TensorData":
        return cls(dtype=dtype, shape=shape, data=base64.b64encode(raw).decode("ascii"))

    def decode(self) -> bytes:
        return base64.b64decode(self.data, validate=True)


class Check(_Frozen):
    """Rows and the answers that training saw; replayed before a model may serve."""

    inputs: TensorData
    outputs: TensorData
    tolerance: float = Field(ge=0, description="Largest absolute difference that still passes.")


class Manifest(_Frozen):
    """All that is known of one published version."""

    schema_version: Literal[1] = 1
    name: ModelName
    version: int = Field(ge=1, lt=10**9)
    created_at: AwareDatetime
    task: Task
    format: Literal["torchscript"] = "torchscript"
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of model.pt.")
    size_bytes: int = Field(ge=1, le=2**53, description="Of model.pt.")
    input: InputSpec
    output: OutputSpec
    metrics: tuple[Metric, ...]
    training: TrainingRecord
    check: Check

    @property
    def threshold(self) -> float:
        """The probability from which a binary answer is positive."""
        if self.output.threshold is None:
            raise ArtifactError(f"{self.name} {self.version} has no decision threshold")
        return self.output.threshold

    def metric(self, name: str, split: str) -> Metric:
        """The metric of that name and split; KeyError when it was not measured."""
        for metric in self.metrics:
            if (metric.name, metric.split) == (name, split):
                return metric
        raise KeyError(f"{self.name} {self.version} has no {name} on {split}")
