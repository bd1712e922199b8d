"""Every digit of a number, a line or a form, in reading order: asked for with `?each=true`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifacts.interface import Output
from service.errors import BlankImage, FieldError, InvalidInput, ServiceError
from service.pictures.images import Finding
from service.pictures.numbers.choice import chosen
from service.serving.job import Outputs

MOST = 64  # digits of a picture

# How much it counts that a candidate looks like no digit, beside how sure the model is of which it is.
SCORE_WEIGHT = 2.0
_LEAST = 1e-9

PARAMETER = {
    "name": "each",
    "in": "query",
    "description": f"Answer every digit of one picture, in reading order, with its box: up to {MOST}.",
    "schema": {"type": "boolean", "default": False},
}


def digits_among(finding: Finding, outputs: Outputs, output: Output) -> list[int]:
    """The places of the candidates that are the digits, in reading order."""
    return chosen(finding.candidates, _costs(outputs, output))


def refusal(digits: int, field: str) -> ServiceError:
    """The error for a picture without a digit, or with more than MOST."""
    if not digits:
        blank = BlankImage()
        blank.errors = (FieldError(field, blank.detail),)
        return blank
    message = f"has {digits} digits, or what may be some; at most {MOST} are read at a time"
    return InvalidInput(f"The picture {message}: send it in parts.", (FieldError(field, message),))


def placed(
    results: Sequence[dict[str, Any]], finding: Finding, places: Sequence[int]
) -> list[dict[str, Any]]:
    """Answers to the digits, each with the line that it stands in and its box."""
    found = [finding.candidates[place] for place in places]
    lines = sorted({candidate.line for candidate in found})
    return [
        {**result, "line": lines.index(candidate.line), "box": finding.in_pixels(candidate.box)}
        for result, candidate in zip(results, found, strict=True)
    ]


def _costs(outputs: Outputs, output: Output) -> NDArray[np.float64]:
    """For each candidate how unsure the model is which digit it is, and whether it is one."""
    exact = outputs.astype(np.float64)
    costs: NDArray[np.float64] = -np.log(np.maximum(exact[:, : len(output.labels)].max(axis=1), _LEAST))
    if output.score:
        costs -= SCORE_WEIGHT * np.log(np.maximum(1 - exact[:, len(output.labels)], _LEAST))
    return costs
