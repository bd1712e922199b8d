"""The artifact format: one folder a version, described by `manifest.json`.

Training writes it and the service reads it, so this module needs neither torch nor a web framework.
`store` has the folders.
"""

import base64
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, PositiveInt, ValidationError, model_validator

from service.artifacts.interface import DType, Frozen, Input, Output
from service.artifacts.version_one import upgraded
from service.option_types import NAME

MODEL_FILE = "model.pt"
MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"

ModelName = Annotated[str, Field(pattern=f"^{NAME}$")]
Kind = Literal["table", "picture", "digit"]
Format = Literal["torchscript", "onnx"]

# What the archive of each format is called, as in a model repository of Triton's.
MODEL_FILES: dict[Format, str] = {"torchscript": MODEL_FILE, "onnx": "model.onnx"}


# The longest that a message shows of what others wrote.
MAX_SHOWN = 200

# The most that the answers of another form may differ from the plain one's, where a row is hard.
MAX_FORM_TOLERANCE = 0.2


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


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong with what others wrote, without the value: `input.height: …`."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = printable(".".join(map(str, first["loc"]))) or "document"
    return f"{field}: {printable(first['msg'])}"


class Metric(Frozen):
    """One figure. `split`: the rows that it was measured on.

    The recipe's own train, validation or test rows; `drawn`: sheets and non-digits that a program made;
    `other`: rows from elsewhere, such as those given to `publish --check`.
    """

    name: str
    value: float
    split: Literal["train", "validation", "test", "drawn", "other"]
    n: int = Field(ge=1, description="Rows that the value was computed on.")


class TrainingRecord(Frozen):
    """Everything needed to train the same weights again."""

    recipe: str
    hyperparameters: dict[str, str | int | float | bool]
    seed: int
    device: str
    torch_version: str
    git_commit: str | None
    data_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    seconds: float = Field(ge=0)


class TensorData(Frozen):
    """A tensor in JSON, exact to the bit: base64 of its row-major, little-endian bytes."""

    dtype: DType
    shape: tuple[PositiveInt, ...] = Field(min_length=1, max_length=8)
    data: str

    @classmethod
    def encode(cls, dtype: DType, shape: tuple[int, ...], raw: bytes) -> "TensorData":
        return cls(dtype=dtype, shape=shape, data=base64.b64encode(raw).decode("ascii"))

    def decode(self) -> bytes:
        return base64.b64decode(self.data, validate=True)


class Check(Frozen):
    """Rows and the answers that training saw; replayed before a model may serve."""

    inputs: TensorData
    outputs: TensorData
    tolerance: float = Field(ge=0, description="Largest absolute difference that still passes.")


class Form(Frozen):
    """The same weights once more in the archive, rounded, so that they are computed in less time.

    A service takes the quickest form that it knows and that passes the check, within `tolerance`.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", description="Such as int8.")
    tolerance: float = Field(
        gt=0, le=MAX_FORM_TOLERANCE, description="Its answers differ from the plain form's by no more."
    )
    decisions_changed: float = Field(ge=0, le=1, description="Share of `rows` that it decides otherwise.")
    rows: int = Field(ge=1, description="Rows that both were compared on when they were published.")


class Manifest(Frozen):
    """All that is known of one published version."""

    schema_version: Literal[2] = 2
    name: ModelName
    version: int = Field(ge=1, lt=10**9)
    created_at: AwareDatetime
    kind: Kind = Field(description="Of the endpoint that serves it.")
    format: Format = Field("torchscript", description="Of the archive: model.pt, or model.onnx.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the archive.")
    size_bytes: int = Field(ge=1, le=2**53, description="Of the archive.")
    input: Input
    output: Output
    metrics: tuple[Metric, ...] = ()
    training: TrainingRecord | None = Field(None, description="Null: nobody knows.")
    check: Check
    # Left out of the document where there are none, so that older services read it.
    forms: tuple[Form, ...] = Field((), max_length=8, exclude_if=lambda forms: not forms)

    @model_validator(mode="before")
    @classmethod
    def _of_any_version(cls, document: Any) -> Any:
        old = isinstance(document, dict) and document.get("schema_version") == 1
        return upgraded(document) if old else document

    @property
    def model_file(self) -> str:
        """What the archive is called."""
        return MODEL_FILES[self.format]

    @property
    def record(self) -> TrainingRecord:
        """How it was trained. Raises ArtifactError where nobody knows."""
        if self.training is None:
            raise ArtifactError(f"nobody knows how {self.name} {self.version} was trained")
        return self.training

    def metric(self, name: str, split: str) -> Metric:
        """The metric of that name and split; KeyError when it was not measured."""
        for metric in self.metrics:
            if (metric.name, metric.split) == (name, split):
                return metric
        raise KeyError(f"{self.name} {self.version} has no {name} on {split}")
