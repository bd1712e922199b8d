"""The form of every answer that the rows before have seen: of inferences, and of errors."""

import json
from collections import Counter

from conformance.client import HEADER, Answer
from conformance.row import Failed, Row, Skipped, row, rows_in
from conformance.subject import Subject

OUTPUT, BINARY, ERROR = "REST: Response Output", "Binary tensor data", "REST: Error Objects"


def _none(subject: Subject, kind: str) -> None:
    if not subject.replies:
        raise Skipped("no inference was answered")
    found = [text for reply in subject.replies for name, text in reply.problems if name == kind]
    if found:
        raise Failed(f"{found[0]} ({len(found)} of {len(subject.replies)} answers)")


def _none_binary(subject: Subject, kind: str) -> None:
    if not any(reply.binary for reply in subject.replies):
        raise Skipped("no output came as octets")
    _none(subject, kind)


@row("REST: Inference Response; kserve 0.21.0", "always with a string `model_name`")
def answers_name_the_model(subject: Subject) -> None:
    _none(subject, "model_name")


@row("REST: Tensor Data Types", "always with datatypes of the protocol, in capitals")
def answers_have_datatypes(subject: Subject) -> None:
    _none(subject, "form")


@row(OUTPUT, "always as many elements in `data` as the shape has")
def answers_are_of_their_shape(subject: Subject) -> None:
    _none(subject, "count")


@row("RFC 8259, 6; kserve 0.21.0", "never NaN or Infinity as a token of JSON")
def answers_are_json(subject: Subject) -> None:
    _none(subject, "token")


@row(BINARY, "`binary_data_size` is always what the shape and datatype take")
def sizes_of_octets(subject: Subject) -> None:
    _none_binary(subject, "size")


@row(BINARY, f"octets always come with {HEADER}, the length of the JSON")
def lengths_of_json(subject: Subject) -> None:
    _none_binary(subject, "header")


@row(BINARY, "the octets end with the last tensor: none missing, none left")
def octets_of_tensors(subject: Subject) -> None:
    _none_binary(subject, "tail")


def _refusals(subject: Subject) -> list[Answer]:
    """All errors but those of health, whose body may say what is not ready instead."""
    answers = subject.client.answers
    return [each for each in answers if each.status >= 400 and not each.asked.endswith(("/ready", "/live"))]


def _is_error(content: bytes) -> bool:
    try:
        found = json.loads(content)
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get("error"), str) and bool(found["error"])


@row(ERROR, 'every error, of whatever status, is {"error": "<text>"}')
def errors(subject: Subject) -> None:
    refusals = _refusals(subject)
    if not refusals:
        raise Skipped("nothing was refused")
    wrong = [each for each in refusals if not _is_error(each.content)]
    if wrong:
        counts = Counter(each.status for each in wrong)
        statuses = ", ".join(f"{status} ×{count}" for status, count in sorted(counts.items()))
        raise Failed(f"{statuses}; {wrong[0].asked}: {wrong[0].in_short}")


@row("kserve 0.21.0", "every error has Content-Type application/json, without parameters")
def errors_content_type(subject: Subject) -> None:
    for each in _refusals(subject):
        found = each.headers.get("content-type")
        if found != "application/json":
            raise Failed(f"{each.asked}: {each.status} with {found!r}")


ROWS: tuple[Row, ...] = rows_in(globals())
