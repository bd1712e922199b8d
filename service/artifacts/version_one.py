"""Manifests of schema version 1, as those of version 2: of one number a row, or of pictures of digits."""

from typing import Any, Literal

from pydantic import Field

from service.artifacts.interface import DType, Frozen, Polarity, ScoreSpec


class _Tensor(Frozen):
    name: str
    dtype: DType
    shape: tuple[int, ...] = Field(min_length=2, max_length=8)


class _Input(_Tensor):
    units: str
    minimum: float
    maximum: float
    training_minimum: float
    training_maximum: float
    polarity: Polarity | None = None


class _Output(_Tensor):
    labels: tuple[str, ...]
    threshold: float | None = None
    score: ScoreSpec | None = None


class _Described(Frozen):
    task: Literal["binary-classification", "image-classification"]
    input: _Input
    output: _Output


def upgraded(document: dict[str, Any]) -> dict[str, Any]:
    """The document as version 2 has it. Raises ValueError, a ValidationError where it is malformed."""
    parts = _Described.model_fields
    described = _Described.model_validate({k: v for k, v in document.items() if k in parts})
    binary = described.task == "binary-classification"
    rows, answers = described.input, described.output
    _check_tensor("input", rows, "float32" if binary else "uint8", (-1, 1) if binary else (-1, 1, 28, 28))
    _check_tensor("output", answers, "float32", (-1, len(answers.labels) + (answers.score is not None)))
    rest = {k: v for k, v in document.items() if k not in parts}
    return {
        **rest,
        "schema_version": 2,
        "kind": "table" if binary else "digit",
        "input": _column(rows) if binary else _digits(rows),
        "output": {
            "kind": "binary" if binary else "classes",
            "labels": answers.labels,
            "threshold": answers.threshold,
            "score": answers.score,
        },
    }


def _check_tensor(field: str, tensor: _Tensor, dtype: DType, shape: tuple[int, ...]) -> None:
    if (tensor.dtype, tensor.shape) != (dtype, shape):
        raise ValueError(f"{field} is {tensor.dtype} {list(tensor.shape)}, not {dtype} {list(shape)}")


def _column(rows: _Input) -> dict[str, Any]:
    kept = ("name", "units", "minimum", "maximum", "training_minimum", "training_maximum")
    return {"columns": [{name: getattr(rows, name) for name in kept}]}


def _digits(rows: _Input) -> dict[str, Any]:
    height, width = rows.shape[2:]
    return {
        "height": height,
        "width": width,
        "channels": 1,
        "resize": "mnist",
        "polarity": rows.polarity,
    }
