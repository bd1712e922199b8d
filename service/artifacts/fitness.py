"""Whether a manifest fits its question: what it says of itself must agree before it is believed.

A model that passes its own check may still answer what no request can make anything of: three labels for
ten columns, a decision without a threshold. It would go live and fail every request.
"""

from collections.abc import Iterator, Sequence

from service.artifacts.manifest import Manifest, TensorData, printable

# The most that a check may let answers differ from training's.
MAX_TOLERANCE = 0.01

# How far from 1 the probabilities of a row may sum up, and how far from 0 and 1 each may lie.
SUM_TOLERANCE = 1e-3


def contradictions(manifest: Manifest) -> list[str]:
    """What does not agree, each with its rule. Empty: nothing."""
    return [*_of_rows(manifest), *_of_answers(manifest), *_of_check(manifest)]


def improbable(answers: Sequence[Sequence[float]], manifest: Manifest, slack: float = 0) -> str | None:
    """Why these answers, [N, columns], are no probabilities; None: they are.

    Each lies between 0 and 1; those of classes sum to 1. `slack`: how much further off either may be.
    """
    columns = len(manifest.output.labels)
    slack += SUM_TOLERANCE
    for row in answers:
        if not all(-slack <= value <= 1 + slack for value in row):
            return f"answers lie between {min(row):g} and {max(row):g}, not 0 and 1"
        total = sum(row[:columns])
        if manifest.task == "image-classification" and abs(total - 1) > slack:
            return f"the probabilities of a row sum to {total:g}, not 1"
    return None


def _of_rows(manifest: Manifest) -> Iterator[str]:
    rows = manifest.input
    if rows.shape[0] != -1 or min(rows.row_shape) < 1:
        yield f"input.shape is {list(rows.shape)}: -1 for the rows, then sizes of at least 1"
    if rows.minimum > rows.maximum:
        yield f"input.minimum {rows.minimum:g} is above input.maximum {rows.maximum:g}"
    if rows.training_minimum > rows.training_maximum:
        yield (
            f"input.training_minimum {rows.training_minimum:g} is above"
            f" input.training_maximum {rows.training_maximum:g}"
        )


def _of_answers(manifest: Manifest) -> Iterator[str]:
    answers = manifest.output
    if answers.dtype != "float32":
        yield f"output.dtype is {answers.dtype}, not float32"
    if len(answers.shape) != 2 or answers.shape[0] != -1 or answers.shape[1] < 1:
        yield f"output.shape is {list(answers.shape)}: -1 for the rows, then the number of columns"
    columns = answers.shape[-1] - (answers.score is not None)
    if len(answers.labels) != columns:
        yield f"output.labels are {len(answers.labels)} for {columns} columns"
    if len(set(answers.labels)) != len(answers.labels):
        yield f"output.labels are not distinct: {printable(', '.join(answers.labels))}"
    if manifest.task == "binary-classification":
        if answers.threshold is None:
            yield "output.threshold is missing: a binary answer needs the probability that it begins at"
        if answers.score is not None:
            yield "output.score is given: a binary answer has none"
        if columns != 1:
            yield f"output.shape has {columns} columns: a binary answer has 1"


def _of_check(manifest: Manifest) -> Iterator[str]:
    check = manifest.check
    if check.tolerance > MAX_TOLERANCE:
        yield f"check.tolerance is {check.tolerance:g}, above {MAX_TOLERANCE:g}"
    for field, data, spec in (
        ("inputs", check.inputs, manifest.input),
        ("outputs", check.outputs, manifest.output),
    ):
        if data.dtype != spec.dtype or data.shape[1:] != spec.row_shape:
            yield f"check.{field} are {_form(data)}, not {spec.dtype} {['rows', *spec.row_shape]}"
    if check.inputs.shape[0] != check.outputs.shape[0]:
        yield f"check.outputs are {check.outputs.shape[0]} rows for {check.inputs.shape[0]} of check.inputs"


def _form(data: TensorData) -> str:
    return f"{data.dtype} {list(data.shape)}"
