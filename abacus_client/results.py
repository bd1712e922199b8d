"""What the kinds of models answer: the same as `/openapi.json` says, which a test compares."""

from collections.abc import Mapping
from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from abacus_client.catalogue import Manifest

Probability = Annotated[float, Field(ge=0, le=1)]
Reason = Literal["several_digits", "mostly_outside", "no_digit"]
Value = bool | float | str | None


class Prediction(BaseModel):
    """What every answer has: the model and the version that gave it."""

    # What a newer service adds is no error.
    model_config = ConfigDict(frozen=True, extra="allow")

    model: str
    version: int

    _request_id: str = PrivateAttr("")
    _timings: Mapping[str, float] = PrivateAttr(default_factory=dict)

    @property
    def request_id(self) -> str:
        """Of the request that it was answered with; the service's log has it."""
        return self._request_id

    @property
    def timings(self) -> Mapping[str, float]:
        """Milliseconds that the request spent in `decode`, `queue` and `infer`."""
        return self._timings

    def __getitem__(self, name: str) -> Any:
        """By its name in JSON, whatever that is: `answer["floor area (m²)"]`. Raises KeyError."""
        extra = self.model_extra or {}
        if name in extra:
            return extra[name]
        if name in type(self).model_fields:
            return getattr(self, name)
        raise KeyError(name)


class Explanation(BaseModel):
    """What the model saw. Pictures are data URLs of PNGs of 28×28 pixels."""

    image: str
    polarity: Literal["light-on-dark", "dark-on-light"]
    box: list[int] = Field(min_length=4, max_length=4)
    boxes: list[list[int]] | None = None
    saliency: str


class DigitPrediction(Prediction):
    """`explanation` is there where `explain=True` asked for it."""

    digit: int = Field(ge=0, le=9)
    confidence: Probability
    probabilities: list[Probability] = Field(min_length=10, max_length=10)
    out_of_distribution: bool | None
    reason: Reason | None = None
    explanation: Explanation | None = None


class PlacedDigit(DigitPrediction):
    """One of several on a picture; `box`: left, top, right, bottom in pixels of the upright upload."""

    line: int = Field(ge=0)
    box: list[int] = Field(min_length=4, max_length=4)


class DigitsPrediction(Prediction):
    """Every digit of a number, of lines or of a form, in reading order: what `each=True` asks for."""

    predictions: list[PlacedDigit]

    @property
    def text(self) -> str:
        """The digits as they stand, lines apart by a blank: `"504"`."""
        lines = groupby(self.predictions, key=lambda one: one.line)
        return " ".join("".join(str(one.digit) for one in line) for _, line in lines)

    @property
    def confidence(self) -> float:
        """Of the digit that the model is least sure of."""
        return min(one.confidence for one in self.predictions)

    @property
    def out_of_distribution(self) -> bool | None:
        """Whether any looks like no digit; None where the model cannot tell."""
        said = [one.out_of_distribution for one in self.predictions]
        return True if True in said else None if None in said else False


class Likely(BaseModel):
    label: str
    probability: Probability


class PicturePrediction(Prediction):
    """`top`: the likeliest labels, the likeliest first."""

    label: str
    confidence: Probability
    top: list[Likely]
    out_of_distribution: bool | None


class TablePrediction(Prediction):
    """Of a row. A table of one column is answered with it, too: `answer["hours"]`."""

    __pydantic_extra__: dict[str, Value] = Field(init=False)

    extrapolating: bool


class ClassPrediction(TablePrediction):
    label: str
    confidence: Probability
    probabilities: dict[str, Probability]
    out_of_distribution: bool | None = None


class BinaryPrediction(TablePrediction):
    """Whether the probability reaches the threshold stands under the label: `answer["passed"]`."""

    probability: Probability


class NumbersPrediction(TablePrediction):
    """Each number stands under its label: `answer["price"]`."""


_OF_TABLES: Mapping[str, type[Prediction]] = {
    "classes": ClassPrediction,
    "binary": BinaryPrediction,
    "numbers": NumbersPrediction,
}
_OF_PICTURES: Mapping[str, type[Prediction]] = {"digit": DigitPrediction, "picture": PicturePrediction}


def result_of(manifest: Manifest) -> type[Prediction]:
    """What such a model answers; Prediction alone of a kind that this client does not know."""
    if manifest.kind == "table":
        return _OF_TABLES.get(manifest.output.kind, TablePrediction)
    return _OF_PICTURES.get(manifest.kind, Prediction)
