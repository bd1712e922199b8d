"""What goes over the wire: requests, answers and the RFC 9457 problem document."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from service.artifacts.manifest import Manifest

MAX_HOURS_PER_REQUEST = 10_000
FLOAT32_MAX = 3.4028234e38

Hours = Annotated[float, Field(ge=0, le=FLOAT32_MAX, allow_inf_nan=False, strict=True)]
Probability = Annotated[float, Field(ge=0, le=1)]


def _one_or_many(value: Any) -> str:
    return "many" if isinstance(value, list) else "one"


class PassRequest(BaseModel):
    """Hours studied, one number or a list of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{"hours": 4.0}]})

    hours: Annotated[
        Annotated[Hours, Tag("one")]
        | Annotated[list[Hours], Tag("many"), Field(min_length=1, max_length=MAX_HOURS_PER_REQUEST)],
        Discriminator(_one_or_many),
    ]


class _Answer(BaseModel):
    model: str = Field(description="Name of the model that answered.")
    version: int = Field(description="Version of the model that answered.")


class PassResult(BaseModel):
    hours: float
    probability: Probability = Field(description="Of passing.")
    passed: bool = Field(description="Whether the probability reaches the model's threshold.")
    extrapolating: bool = Field(
        description="Whether the hours lie outside those that the model was fitted to."
    )


class PassPrediction(_Answer, PassResult):
    """The answer for one number of hours."""


class PassPredictions(_Answer):
    """The answers for a list of hours, in its order."""

    predictions: list[PassResult]


class DigitResult(BaseModel):
    digit: int = Field(ge=0, le=9)
    confidence: Probability = Field(description="The probability of `digit`.")
    probabilities: list[Probability] = Field(
        min_length=10, max_length=10, description="Of the digits 0 to 9, in order."
    )
    out_of_distribution: bool | None = Field(
        description="Whether the picture looks like no digit at all; null when the model cannot tell."
    )


class Explanation(BaseModel):
    """What the model saw. Pictures are data URLs of PNGs of 28×28 pixels."""

    image: str = Field(description="The picture as it was prepared.")
    polarity: Literal["light-on-dark", "dark-on-light"] = Field(description="Of the upload.")
    box: tuple[int, int, int, int] = Field(
        description="Where the ink was found: left, top, right, bottom, in pixels of the upright upload."
    )
    saliency: str = Field(description="How much each pixel mattered to the answer: the lighter, the more.")


class DigitPrediction(_Answer, DigitResult):
    """The answer for one picture."""

    explanation: Explanation | SkipJsonSchema[None] = Field(
        None, description="Only with `?explain=true`.", exclude_if=lambda value: value is None
    )


class DigitPredictions(_Answer):
    """The answers for several pictures, in the order of the upload."""

    predictions: list[DigitResult]


class Live(BaseModel):
    live: bool = True


class Ready(BaseModel):
    ready: bool = True
    models: dict[str, int] = Field(description="The live version of every model.")


class ModelInfo(BaseModel):
    """One model of this service. `version` and `manifest` are null while none can be served."""

    name: str
    ready: bool
    device: str
    version: int | None
    available: list[int] = Field(description="The published versions, the newest 1,000.")
    store_silent_since: datetime | None = Field(
        description="Since when the folder of models has not answered; null while it does."
    )
    refused: str | None = Field(
        description="Why the version that was activated is not served; an older one may be."
    )
    manifest: Manifest | None


class Models(BaseModel):
    models: list[ModelInfo]
