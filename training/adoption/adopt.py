"""A module of somebody else's → a version: tried out, wrapped, measured, published."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from service.artifacts.fitness import clashes
from service.artifacts.interface import MAX_LABELS, Output, PictureInput, TableInput
from service.artifacts.manifest import Kind, Manifest, Metric
from service.engine.tensors import reason
from service.engine.torchscript import MODEL_FAULTS
from training.adoption.examples import Examples
from training.adoption.exported_input import Row
from training.adoption.trying import Archive, tried, what_answers_are
from training.adoption.wrapping import finished
from training.data import DataUnavailable
from training.publishing.activation import Publication
from training.publishing.publish import Candidate, publish
from training.tabular.table_target import NO, YES

Answers = Literal["classes", "binary", "numbers"]
Scores = Literal["auto", "logits", "probabilities"]

# Check rows travel in the manifest, which holds no more than 1 MiB.
CHECK_ROWS, CHECK_BYTES = 5, 500_000
PROOF_ROWS = 64

# How the column that is answered says of a row that it is not what the label says.
NOT_IT = NO | {"-1"}


@dataclass(frozen=True)
class Adopted:
    """What is said of a module. `wrap` makes the archive of it, given what comes last.

    `row`: how large its file says that a row is, if it does.
    """

    name: str
    kind: Kind
    input: PictureInput | TableInput
    output: Answers
    labels: Sequence[str]
    scores: Scores
    threshold: float
    units: str
    wrap: Callable[[str], Archive]
    origin: str
    row: Row | None = None


def adopt(
    said: Adopted,
    examples: Examples,
    to: Publication,
    tell: Callable[[str], object],
) -> Manifest:
    """Publish it. Raises DataUnavailable, PublishFailed or ArtifactError."""
    if said.row and not said.row.fits(examples.rows.shape[1:]):
        options = "--size and --channels" if said.kind == "picture" else "--columns"
        raise DataUnavailable(
            f"the module reads rows of {said.row}, and is given {list(examples.rows.shape[1:])}: {options}"
        )
    plain = said.wrap("")
    answers = tried(plain, examples.rows)
    labels = _labels(said, answers.shape[1], tell)
    last = _last(said, plain, examples.rows, answers, tell)
    output = Output(
        kind=said.output,
        labels=labels,
        threshold=said.threshold if said.output == "binary" else None,
        units=said.units,
    )
    if isinstance(said.input, TableInput) and (wrong := clashes(said.input.columns, output)):
        raise DataUnavailable(wrong[0])
    net = said.wrap(last)
    final = finished(answers, last)
    size = examples.rows[0].numel() * examples.rows.element_size()
    if size > CHECK_BYTES:
        raise DataUnavailable(f"a row has {size:,} bytes; at most {CHECK_BYTES:,} are served")
    candidate = Candidate(
        name=said.name,
        kind=said.kind,
        net=net,
        input=said.input,
        output=output,
        metrics=_metrics(final, examples, output, tell),
        training=None,
        check_rows=examples.rows[: max(1, min(CHECK_ROWS, CHECK_BYTES // size))],
        proof_rows=examples.rows[:PROOF_ROWS],
        files={"report/report.md": _card(said, output).encode()},
    )
    try:
        return publish(candidate, *to)
    except MODEL_FAULTS as error:  # of a net that answers a tensor, and is not written as one that does
        raise DataUnavailable(f"the module cannot be put in an archive: {reason(error)}") from error


def _last(
    said: Adopted, plain: Archive, rows: Tensor, answers: Tensor, tell: Callable[[str], object]
) -> str:
    """What makes probabilities of its answers."""
    if said.output == "numbers" or said.scores == "probabilities":
        return ""
    name = "sigmoid" if said.output == "binary" else "softmax"
    if said.scores == "logits":
        return name
    found = what_answers_are(plain, rows, answers, alone=said.output == "binary")
    if found == "neither":
        raise DataUnavailable(
            "the module's answers lie between 0 and 1 and do not sum to 1, as those of sigmoids; classes"
            " exclude each other. --scores logits puts a softmax behind, --output numbers leaves them"
        )
    if found == "probabilities":
        tell("its answers are probabilities; --scores logits if not")
        return ""
    tell(f"its answers are logits: {name} is put behind it; --scores probabilities if they are none")
    return name


def _labels(said: Adopted, outputs: int, tell: Callable[[str], object]) -> tuple[str, ...]:
    if said.output == "binary" and outputs != 1:
        raise DataUnavailable(f"the module has {outputs} outputs; a binary answer has 1")
    if said.output == "classes" and outputs < 2:
        raise DataUnavailable(
            "the module has 1 output, and classes are at least 2: --output binary for one probability,"
            " --output numbers for a number; one that ends in argmax has to give its scores instead"
        )
    if outputs > MAX_LABELS:
        raise DataUnavailable(f"the module has {outputs:,} outputs; at most {MAX_LABELS:,} are served")
    if not said.labels:
        if said.output == "binary":
            return ("positive",)
        told = f"its {outputs} outputs have numbers for names" if outputs > 1 else "its output is called 0"
        tell(f"{told}; --labels FILE names it otherwise")
        return tuple(map(str, range(outputs)))
    if len(said.labels) != outputs:
        raise DataUnavailable(f"there are {len(said.labels)} labels for {outputs} outputs")
    return tuple(said.labels)


def _metrics(
    answers: Tensor, examples: Examples, output: Output, tell: Callable[[str], object]
) -> tuple[Metric, ...]:
    """How many of the examples are right, where it is known what they are."""
    if examples.labels is None or output.kind == "numbers":
        return ()
    if output.threshold is not None:
        return _of_decisions(answers, examples.labels, output.labels[0], output.threshold, tell)
    if unknown := set(examples.labels) - set(output.labels):
        tell(f"accuracy is not measured: {sorted(unknown)[0]!r:.60} is none of the labels")
        return ()
    right = [output.labels[i] == label for i, label in zip(answers.argmax(1), examples.labels, strict=True)]
    return (_accuracy(right),)


def _of_decisions(
    answers: Tensor, truth: Sequence[str], label: str, threshold: float, tell: Callable[[str], object]
) -> tuple[Metric, ...]:
    yes, no = {label.casefold(), *YES}, NOT_IT
    if unknown := {text for text in truth if text.casefold() not in yes | no}:
        tell(
            f"accuracy is not measured: {min(unknown)!r:.60} is neither {label} nor"
            f" one of {', '.join(sorted(yes | no))}"
        )
        return ()
    decided = (answers[:, 0] >= threshold).tolist()
    return (
        _accuracy([is_so == (text.casefold() in yes) for is_so, text in zip(decided, truth, strict=True)]),
    )


def _accuracy(right: Sequence[bool]) -> Metric:
    return Metric(name="accuracy", value=sum(right) / len(right), split="other", n=len(right))


def _card(said: Adopted, output: Output) -> str:
    labels = ", ".join(output.labels[:20]) + (", …" if len(output.labels) > 20 else "")
    return f"""# {said.name}: a model from elsewhere

Published from {said.origin}. How it was trained, on what, and how well it does is not known here.

It answers {output.kind}: {labels}.
"""
