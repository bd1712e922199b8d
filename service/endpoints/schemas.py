"""What goes over the wire, where it is the same for every service."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from service.artifacts.manifest import Manifest
from service.pictures.digits.reasons import Reason

MOST_NAMED = 100  # labels of whose probabilities OpenAPI tells one by one

Probability = Annotated[float, Field(ge=0, le=1)]


class DigitResult(BaseModel):
    digit: int = Field(ge=0, le=9)
    confidence: Probability = Field(description="The probability of `digit`.")
    probabilities: list[Probability] = Field(
        min_length=10, max_length=10, description="Of the digits 0 to 9, in order."
    )
    out_of_distribution: bool | None = Field(
        description="Whether the picture looks like no digit at all; null when the model cannot tell."
    )
    reason: Reason | None = Field(
        description="Why it is no digit: several stand side by side, most of it lies outside of the"
        " picture, or it is something else; null where the picture is not called so."
    )


class PlacedDigit(BaseModel):
    """What is answered beside each of several digits."""

    line: int = Field(ge=0, description="In which it stands, counted from 0.")
    box: list[int] = Field(
        min_length=4,
        max_length=4,
        description="Where its ink is: left, top, right, bottom, in pixels of the upright upload.",
    )


class Explanation(BaseModel):
    """What the model saw. Pictures are data URLs of PNGs of 28×28 pixels."""

    image: str = Field(description="The picture as it was prepared.")
    polarity: Literal["light-on-dark", "dark-on-light"] = Field(description="Of the upload.")
    box: list[int] = Field(
        min_length=4,
        max_length=4,
        description="Where the ink was found: left, top, right, bottom, in pixels of the upright upload.",
    )
    boxes: list[list[int]] = Field(
        description="Likewise, of each digit, where several stand side by side; else that box alone."
    )
    saliency: str = Field(description="How much each pixel mattered to the answer: the lighter, the more.")


class Live(BaseModel):
    live: bool = True


class Ready(BaseModel):
    ready: bool = True
    models: dict[str, int] = Field(description="The live version of every model.")


class WayTaken(BaseModel):
    """For a batch of `rows` rows, and of more up to the next that is listed."""

    rows: int
    way: str = Field(
        description="plain, optimized, ink, onednn, ink+onednn, onnxruntime, or a form such as int8."
    )
    of_plain: float | None = Field(
        description="Its time over the plain way's when both were timed; null where there is one way."
    )


class Engine(BaseModel):
    """How a model is computed on this machine, as the process that was asked has found it."""

    taken: list[WayTaken]
    not_taken: dict[str, str] = Field(description="Why other ways and forms are not.")


class ModelInfo(BaseModel):
    """One model of this service. `version` and `manifest` are null while none can be served."""

    name: str
    ready: bool
    device: str
    version: int | None
    loaded: list[int] = Field(description="The versions that can be asked for.")
    labels: dict[str, int] = Field(description="The versions labelled stable and canary.")
    without: dict[int | str, str] = Field(
        description="Why versions that should be loaded beside the live one are not, or get no share; and"
        " why a label cannot be read."
    )
    available: list[int] = Field(
        description="The published versions, the newest 1,000; none of a model that is unloaded, for nobody"
        " looks."
    )
    store_silent_since: datetime | None = Field(
        description="Since when the folder of models has not answered; null while it does."
    )
    refused: str | None = Field(
        description="Why the version that was activated is not served; an older one may be."
    )
    engine: Engine | None
    manifest: Manifest | None


class Models(BaseModel):
    models: list[ModelInfo]


def probabilities_schema(labels: Sequence[str]) -> dict[str, Any]:
    """Of one for each label: label by label, where there are not too many to be read."""
    count, probability = len(labels), {"type": "number", "minimum": 0, "maximum": 1}
    if count > MOST_NAMED:
        return {
            "type": "object",
            "description": f"Of each of the {count:,} labels.",
            "additionalProperties": probability,
            "minProperties": count,
            "maxProperties": count,
        }
    return {
        "type": "object",
        "properties": {label: probability for label in labels},
        "required": list(labels),
        "additionalProperties": False,
    }
