"""Whether a manifest fits its question: what it says of itself must agree before it is believed.

A model that passes its own check may still answer what no request can make anything of: three labels for
ten columns, a decision without a threshold. It would go live and fail every request.
"""

from collections.abc import Iterator, Sequence

from service.artifacts.interface import Column, Output, PictureInput, TableInput
from service.artifacts.manifest import Kind, Manifest, TensorData, printable

# The most that a check may let answers differ from training's.
MAX_TOLERANCE = 0.01

# What every answer about a row has beside what is predicted, and what lists of them have.
OF_EVERY_ANSWER = ("extrapolating", "model", "version", "predictions")

DIGIT_SHAPE, DIGIT_LABELS = (1, 28, 28), tuple("0123456789")

# How far from 1 the probabilities of a row may sum up, and how far from 0 and 1 each may lie.
SUM_TOLERANCE = 1e-3


def contradictions(manifest: Manifest) -> list[str]:
    """What does not agree, each with its rule. Empty: nothing."""
    rows, answers = manifest.input, manifest.output
    if (manifest.kind == "table") != isinstance(rows, TableInput):
        return [f"input is no {manifest.kind}'s"]
    if isinstance(rows, TableInput):
        found = [*_of_columns(rows.columns), *clashes(rows.columns, answers)]
    else:
        found = [*_of_picture(manifest.kind, rows, answers.labels)]
    return [*found, *_of_answers(answers), *_of_check(manifest), *_of_forms(manifest)]


def clashes(columns: Sequence[Column], answers: Output) -> list[str]:
    """What an answer about a row would have twice; a table's only column is answered too."""
    fields = [*OF_EVERY_ANSWER, *(column.name for column in columns if len(columns) == 1)]
    if answers.kind == "classes":
        fields += "label", "confidence", "probabilities", "out_of_distribution"
    else:
        fields += dict.fromkeys(answers.labels)
    if answers.kind == "binary":
        fields.append("probability")
    twice = sorted({printable(field) for field in fields if fields.count(field) > 1})
    return [f"an answer would have {', '.join(twice)} twice: rename the column or label"] if twice else []


def exchangeable(one: Manifest, other: Manifest) -> bool:
    """Whether whoever asks the one may be answered by the other: what is asked and answered has one form.

    What each was trained on, and from which probability on it decides, is its own.
    """
    return _form_of(one) == _form_of(other)


def _form_of(manifest: Manifest) -> tuple[object, ...]:
    rows, answers = manifest.input, manifest.output
    own = {"training_minimum": None, "training_maximum": None}
    asked: object = rows
    if isinstance(rows, TableInput):
        asked = [column.model_copy(update=own) for column in rows.columns]
    return manifest.kind, asked, answers.kind, answers.labels, answers.units, answers.score is None


def improbable(answers: Sequence[Sequence[float]], manifest: Manifest, slack: float = 0) -> str | None:
    """Why these answers, [N, columns], are no probabilities; None: they are, or need not be.

    Each lies between 0 and 1; those of classes sum to 1. `slack`: how much further off either may be.
    """
    if manifest.output.kind == "numbers":
        return None
    columns = len(manifest.output.labels)
    slack += SUM_TOLERANCE
    for row in answers:
        if not all(-slack <= value <= 1 + slack for value in row):
            return f"answers lie between {min(row):g} and {max(row):g}, not 0 and 1"
        total = sum(row[:columns])
        if manifest.output.kind == "classes" and abs(total - 1) > slack:
            return f"the probabilities of a row sum to {total:g}, not 1"
    return None


def _of_columns(columns: Sequence[Column]) -> Iterator[str]:
    names = [column.name for column in columns]
    if len(set(names)) != len(names):
        yield f"input.columns are not distinct: {printable(', '.join(names))}"
    for column in columns:
        name = printable(column.name)
        if not column.name.isprintable() or column.name != column.name.strip():
            yield f"the column {name!r} has a name that cannot be sent as it is shown"
        if len(set(column.categories)) != len(column.categories):
            yield f"the categories of column {name!r} are not distinct"
        if (column.dtype == "category") != bool(column.categories):
            yield f"the column {name!r} is {column.dtype} and has {len(column.categories)} categories"
        for low, high in (("minimum", "maximum"), ("training_minimum", "training_maximum")):
            least, most = getattr(column, low), getattr(column, high)
            if column.categories and (least, most) != (None, None):
                yield f"the column {name!r} has categories and a {low} or {high}"
            elif least is not None and most is not None and least > most:
                yield f"the {low} {least:g} of column {name!r} is above its {high} {most:g}"


def _of_picture(kind: Kind, picture: PictureInput, labels: Sequence[str]) -> Iterator[str]:
    if (kind == "digit") != (picture.resize == "mnist"):
        yield f"input.resize is {picture.resize}, which a {kind} is not"
    if kind != "digit":
        if picture.resize_to and picture.resize_to < max(picture.height, picture.width):
            yield f"input.resize_to is {picture.resize_to}, less than what is cut out"
        if picture.resize_to and picture.resize != "crop":
            yield f"input.resize_to is given, which {picture.resize} does not use"
        if picture.polarity:
            yield f"input.polarity is {picture.polarity}, which only a digit has"
        return
    if (picture.row_shape, picture.polarity) != (DIGIT_SHAPE, "light-on-dark"):
        shape = list(picture.row_shape)
        yield f"input is {picture.polarity} {shape}, not light-on-dark {list(DIGIT_SHAPE)}"
    if tuple(labels) != DIGIT_LABELS:
        yield f"output.labels are {printable(', '.join(labels))}, not the digits 0 to 9 in order"


def _of_answers(answers: Output) -> Iterator[str]:
    labels = answers.labels
    if len(set(labels)) != len(labels):
        yield f"output.labels are not distinct: {printable(', '.join(labels))}"
    if not all(label.isprintable() for label in labels):
        yield f"output.labels cannot be shown: {printable(', '.join(labels))}"
    binary, classes = answers.kind == "binary", answers.kind == "classes"
    if binary and len(labels) != 1:
        yield f"output.labels are {len(labels)}: a binary answer has 1"
    if classes and len(labels) < 2:
        yield "output.labels are 1: classes are at least 2"
    if binary and answers.threshold is None:
        yield "output.threshold is missing: a binary answer needs the probability that it begins at"
    if not binary and answers.threshold is not None:
        yield f"output.threshold is given: {answers.kind} have none"
    if answers.score is not None and not classes:
        yield f"output.score is given: {'a binary answer has' if binary else 'numbers have'} none"
    if answers.units and answers.kind != "numbers":
        yield "output.units are given: a probability has none"


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


def _of_forms(manifest: Manifest) -> Iterator[str]:
    names = [form.name for form in manifest.forms]
    if len(set(names)) != len(names):
        yield f"forms are not distinct: {', '.join(names)}"


def _form(data: TensorData) -> str:
    return f"{data.dtype} {list(data.shape)}"
