"""A module of somebody else's → a version: tried out, wrapped, measured, published."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from service.artifacts.interface import Output, PictureInput, TableInput
from service.artifacts.manifest import Kind, Manifest, Metric
from service.artifacts.signatures import SigningKey
from service.artifacts.store import ArtifactStore
from service.engine.tensors import first_line
from training.activation import IF_AS_GOOD, Activation
from training.adoption.examples import Examples
from training.adoption.wrapping import PictureArchive, TableArchive
from training.data import DataUnavailable
from training.publish import Candidate, publish

Archive = PictureArchive | TableArchive
Scores = Literal["auto", "logits", "probabilities"]

# Check rows travel in the manifest, which holds no more than 1 MiB.
CHECK_ROWS, CHECK_BYTES = 5, 500_000
PROOF_ROWS = 64
SUM_TOLERANCE = 1e-3
SAME = 1e-3  # how far an answer may differ from that in another batch


@dataclass(frozen=True)
class Adopted:
    """What is said of a module. `wrap` makes the archive of it, given what comes last."""

    name: str
    kind: Kind
    input: PictureInput | TableInput
    output: Literal["classes", "binary", "numbers"]
    labels: Sequence[str]
    scores: Scores
    threshold: float
    wrap: Callable[[str], Archive]


def adopt(
    said: Adopted,
    examples: Examples,
    store: ArtifactStore,
    tell: Callable[[str], object],
    key: SigningKey | None = None,
    activation: Activation = IF_AS_GOOD,
) -> Manifest:
    """Publish it. Raises DataUnavailable, PublishFailed or ArtifactError."""
    plain = said.wrap("")
    answers = tried(plain, examples.rows)
    last = _last(said, answers, tell)
    labels = _labels(said, answers.shape[1], tell)
    output = Output(
        kind=said.output, labels=labels, threshold=said.threshold if said.output == "binary" else None
    )
    net = said.wrap(last)
    with torch.inference_mode():
        final = net(examples.rows)
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
    return publish(candidate, store, key, activation)


def tried(net: Archive, rows: Tensor) -> Tensor:
    """Its answers, f32 [N, outputs], once it was seen to answer rows one by one as it does several.

    Raises DataUnavailable, which says what is wrong with it.
    """
    several = _answers(net, rows)
    if not torch.equal(several, _answers(net, rows)):
        raise DataUnavailable("the module answers the same rows differently each time: is there a dropout?")
    alone = _answers(net, rows[:1])
    if not torch.allclose(alone[0], several[0], atol=SAME, rtol=SAME):
        raise DataUnavailable("the module answers a row differently in a batch: is it in eval() mode?")
    if not several.isfinite().all():
        raise DataUnavailable("the module answers what is no finite number")
    return several


def _answers(net: Archive, rows: Tensor) -> Tensor:
    shape = list(rows.shape)
    try:
        with torch.inference_mode():
            raw: object = net.raw(rows)
            answers = net(rows) if isinstance(raw, Tensor) else raw
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        hint = "; was it traced with another batch size?" if len(rows) != 1 else ""
        raise DataUnavailable(f"the module fails on {shape}: {first_line(error)}{hint}") from error
    if not isinstance(answers, Tensor):
        raise DataUnavailable(
            f"the module answers a {type(answers).__name__}; wrap it so that it answers one tensor"
        )
    if answers.dim() != 2 or len(answers) != len(rows):
        raise DataUnavailable(
            f"the module answers {list(answers.shape)} to {shape}, not [{len(rows)}, outputs]"
        )
    return answers.float()


def _last(said: Adopted, answers: Tensor, tell: Callable[[str], object]) -> str:
    """What makes probabilities of its answers."""
    if said.output == "numbers" or said.scores == "probabilities":
        return ""
    name = "sigmoid" if said.output == "binary" else "softmax"
    if said.scores == "logits":
        return name
    between = bool(((answers >= -SUM_TOLERANCE) & (answers <= 1 + SUM_TOLERANCE)).all())
    sums = said.output == "binary" or bool(((answers.sum(1) - 1).abs() < SUM_TOLERANCE).all())
    if between and sums:
        tell("its answers are probabilities")
        return ""
    tell(f"its answers are logits: {name} is put behind it")
    return name


def _labels(said: Adopted, outputs: int, tell: Callable[[str], object]) -> tuple[str, ...]:
    if said.output == "binary" and outputs != 1:
        raise DataUnavailable(f"the module has {outputs} outputs; a binary answer has 1")
    if not said.labels:
        if said.output == "binary":
            return ("positive",)
        tell(f"its {outputs} outputs have numbers for names; --labels FILE gives them others")
        return tuple(map(str, range(outputs)))
    if len(said.labels) != outputs:
        raise DataUnavailable(f"there are {len(said.labels)} labels for {outputs} outputs")
    return tuple(said.labels)


def _metrics(
    answers: Tensor, examples: Examples, output: Output, tell: Callable[[str], object]
) -> tuple[Metric, ...]:
    """How many of the examples are right, where it is known what they are."""
    if examples.labels is None or output.kind != "classes":
        return ()
    if unknown := set(examples.labels) - set(output.labels):
        tell(f"accuracy is not measured: {sorted(unknown)[0]!r:.60} is none of the labels")
        return ()
    right = [output.labels[i] == label for i, label in zip(answers.argmax(1), examples.labels, strict=True)]
    return (Metric(name="accuracy", value=sum(right) / len(right), split="other", n=len(right)),)


def _card(said: Adopted, output: Output) -> str:
    labels = ", ".join(output.labels[:20]) + (", …" if len(output.labels) > 20 else "")
    return f"""# {said.name}: a model from elsewhere

Published from a TorchScript file. How it was trained, on what, and how well it does is not known here.

It answers {output.kind}: {labels}.
"""
