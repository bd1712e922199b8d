"""Tensors as octets behind the JSON: what is asked for, and what comes."""

from typing import Any

from conformance.client import HEADER, JSON, OCTETS
from conformance.datatypes import JSON_CANNOT
from conformance.replies import Reply
from conformance.row import Failed, Row, Skipped, row, rows_in
from conformance.subject import Subject, binary_request, request, tail_of

BINARY = "Binary tensor data"
ALL = {"binary_data_output": True}


def _ask(subject: Subject, **keys: Any) -> Reply:
    """With all inputs as octets."""
    subject.needs_binary()
    return subject.reply(subject.post(binary_request(subject.sample, **keys), tail_of(subject.sample)))


def _are(reply: Reply, binary: bool, names: list[str]) -> None:
    for name in names:
        if (name in reply.binary) != binary:
            raise Failed(f"{name} came {'as octets' if name in reply.binary else 'in the JSON'}")


def _default(subject: Subject, headers: dict[str, str | None]) -> None:
    """Equal to what is answered in JSON; whether it comes as octets is another row's matter."""
    reply = subject.reply(subject.post_binary(subject.sample, headers))
    if not JSON_CANNOT & {each.datatype for each in subject.sample}:
        subject.same(reply)


@row("tritonclient 2.73.0 http", "its default call: all binary, no Content-Type")
def default_call(subject: Subject) -> None:
    _default(subject, {})


@row("tritonclient 2.73.0 http.aio; kserve 0.21.0", "the same under application/octet-stream")
def default_call_as_octets(subject: Subject) -> None:
    subject.needs_binary()
    _default(subject, {"Content-Type": OCTETS})


@row("mlserver 1.7.1 infer -b", "the same under application/json")
def default_call_as_json(subject: Subject) -> None:
    subject.needs_binary()
    _default(subject, {"Content-Type": JSON})


@row(BINARY, "`binary_data_output` brings all outputs as octets")
def all_outputs_binary(subject: Subject) -> None:
    reply = _ask(subject, parameters=ALL)
    _are(reply, True, list(reply.outputs))


@row("tritonclient 2.73.0 http", "`binary_data_output` holds for inputs in JSON, too")
def binary_outputs_of_json(subject: Subject) -> None:
    subject.needs_binary()
    reply = subject.reply(subject.post(request(subject.json_sample, parameters=ALL)))
    _are(reply, True, list(reply.outputs))


@row(BINARY, "binary inputs alone bring outputs in JSON")
def json_outputs(subject: Subject) -> None:
    reply = _ask(subject)
    _are(reply, False, list(reply.outputs))
    subject.same(reply)


@row(BINARY, "`binary_data` brings one output as octets, the others in JSON")
def one_output_binary(subject: Subject) -> None:
    first, *others = subject.reference.outputs
    outputs = [{"name": first, "parameters": {"binary_data": True}}, *({"name": each} for each in others)]
    reply = _ask(subject, outputs=outputs)
    _are(reply, True, [first])
    _are(reply, False, others)
    subject.same(reply)


@row(BINARY, "`binary_data: false` overrides `binary_data_output`")
def binary_overridden(subject: Subject) -> None:
    first, *others = subject.reference.outputs
    outputs = [{"name": first, "parameters": {"binary_data": False}}, *({"name": each} for each in others)]
    reply = _ask(subject, parameters=ALL, outputs=outputs)
    _are(reply, False, [first])
    _are(reply, True, others)


@row(BINARY, "the octets stand in the order of `outputs` in the JSON")
def order_of_octets(subject: Subject) -> None:
    if len(subject.reference.outputs) < 2:
        raise Skipped("the model has one output")
    outputs = [{"name": each, "parameters": {"binary_data": True}} for each in subject.reference.outputs]
    for asked in (outputs, outputs[::-1]):
        subject.same(_ask(subject, outputs=asked))


@row(BINARY, "one input as octets beside others in JSON")
def mixed_inputs(subject: Subject) -> None:
    subject.needs_binary()
    sample = subject.json_sample
    if len(sample) < 2:
        raise Skipped("the model has one input")
    for at in range(len(sample)):
        inputs = [each.binary_entry() if index == at else each.entry() for index, each in enumerate(sample)]
        subject.same(subject.reply(subject.post({"inputs": inputs}, sample[at].octets)))


@row(BINARY, "`id` comes back with octets, too")
def identifier_with_octets(subject: Subject) -> None:
    found = _ask(subject, id="b1", parameters=ALL).document.get("id")
    if found != "b1":
        raise Failed(f"sent 'b1', returned {found!r}")


@row(BINARY, "a batch as octets is answered row by row")
def batch_of_octets(subject: Subject) -> None:
    subject.needs_binary()
    subject.needs_batches()
    inputs = [each.twice() for each in subject.sample]
    reply = subject.reply(subject.post_binary(inputs))
    for name, one in subject.reference.outputs.items():
        two = reply.outputs.get(name)
        if two is None or two.shape[:1] != (2 * one.shape[0],):
            raise Failed(f"{name} has the shape {list(two.shape) if two else None} for two rows")


@row(BINARY, "an answer with octets has Content-Type application/octet-stream")
def content_type_of_octets(subject: Subject) -> None:
    reply = _ask(subject, parameters=ALL)
    found = reply.answer.headers.get("content-type", "")
    if reply.binary and found != OCTETS:
        raise Failed(f"Content-Type is {found!r}")


@row("Binary tensor data: raw binary request", f"{HEADER}: 0 and one input's octets alone")
def raw_request(subject: Subject) -> None:
    subject.needs_binary()
    if len(subject.sample) > 1:
        raise Skipped("the model has more than one input")
    (only,) = subject.sample
    content = only.values[0] if only.datatype == "BYTES" else only.octets
    subject.same(subject.reply(subject.post_octets(content, {HEADER: "0", "Content-Type": OCTETS})))


ROWS: tuple[Row, ...] = rows_in(globals())
