"""The highest values of an output, with their places and labels, instead of the output."""

from typing import Any

from conformance.client import Answer
from conformance.datatypes import BYTES
from conformance.refusal import refused
from conformance.replies import Reply
from conformance.row import Failed, Row, Skipped, row, rows_in
from conformance.subject import Subject, request
from conformance.tensors import Tensor

CLASSES = "Classification"
COUNT = 2


def _output(subject: Subject) -> Tensor:
    """The reference's values of an output that has classes."""
    subject.needs("classification")
    for each in subject.reference.outputs.values():
        if each.datatype not in (BYTES, "BOOL") and len(each.shape) > 1 and each.shape[-1] >= COUNT:
            return each
    raise Skipped("no output has two classes")


def _post(subject: Subject, count: Any, **parameters: Any) -> Answer:
    wanted = {"name": _output(subject).name, "parameters": {"classification": count, **parameters}}
    return subject.post(request(subject.json_sample, outputs=[wanted]))


def _found(subject: Subject, reply: Reply) -> list[tuple[float, int]]:
    """Value and place of each element."""
    name = _output(subject).name
    if name not in reply.outputs:
        raise Failed(f"the output {name} is missing")
    found = []
    for each in reply.outputs[name].values:
        text = each.decode(errors="replace") if isinstance(each, bytes) else str(each)
        value, _, rest = text.partition(":")
        try:
            found.append((float(value), int(rest.partition(":")[0])))
        except ValueError:
            raise Failed(f"the element {text!r} is no value:index[:label]") from None
    return found


@row(CLASSES, "`classification: k` brings BYTES of shape [batch, k]")
def classes(subject: Subject) -> None:
    reply = subject.reply(_post(subject, COUNT))
    output = _output(subject)
    found = reply.outputs.get(output.name)
    if found is None or found.datatype != BYTES or found.shape != (output.shape[0], COUNT):
        raise Failed(f"{found.datatype} {list(found.shape)}" if found else "the output is missing")


@row(CLASSES, "its elements are value:index[:label], the highest first")
def classes_in_order(subject: Subject) -> None:
    found = _found(subject, subject.reply(_post(subject, COUNT)))
    values = _output(subject).values[: _output(subject).shape[-1]]
    highest = sorted(values, reverse=True)[:COUNT]
    for (value, index), expected in zip(found, highest, strict=False):
        if not 0 <= index < len(values) or abs(values[index] - expected) > 1e-4 * max(1, abs(expected)):
            raise Failed(f"the class {index} stands where the value {expected} should")
        if abs(value - values[index]) > 1e-3 * max(1, abs(expected)):
            raise Failed(f"the value of class {index} is {value} instead of {values[index]}")


@row(CLASSES, "they come as octets, too")
def classes_as_octets(subject: Subject) -> None:
    _output(subject)
    subject.needs_binary()
    reply = subject.reply(_post(subject, COUNT, binary_data=True))
    if not reply.binary:
        raise Failed("the output came in the JSON")
    if _found(subject, reply) != _found(subject, subject.reply(_post(subject, COUNT))):
        raise Failed("the octets say other classes than the JSON")


@refused(CLASSES, "a `classification` that is no number")
def classification_no_number(subject: Subject) -> Answer:
    return _post(subject, "two")


ROWS: tuple[Row, ...] = rows_in(globals())
