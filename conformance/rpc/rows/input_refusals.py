"""Inputs that are wrong: datatypes, shapes and contents that do not agree."""

from dataclasses import replace
from typing import Any

from conformance.datatypes import BYTES
from conformance.row import Row, Skipped, rows_in
from conformance.rpc.channel import Outcome
from conformance.rpc.refusal import refused
from conformance.rpc.subject import RpcSubject
from conformance.rpc.tensors import CONTENTS, raw_request, typed_request
from conformance.tensors import wider


def _first(subject: RpcSubject, **fields: Any) -> Outcome:
    """With other fields of the first input."""
    request = subject.request()
    for name, value in fields.items():
        if name == "shape":
            request.inputs[0].shape[:] = value
        else:
            setattr(request.inputs[0], name, value)
    return subject.ask(request)


@refused("a datatype that the protocol does not have")
def rpc_unknown_datatype(subject: RpcSubject) -> Outcome:
    return _first(subject, datatype="FLOAT7")


@refused("a negative size in the shape")
def rpc_negative_size(subject: RpcSubject) -> Outcome:
    return _first(subject, shape=[-1, *subject.sample[0].shape[1:]])


@refused("sizes whose product is beyond 64 bits")
def rpc_overflowing_shape(subject: RpcSubject) -> Outcome:
    return _first(subject, shape=[2**32, 2**32, *subject.sample[0].shape[2:]])


@refused("a shape that does not fit the metadata: rank")
def rpc_wrong_rank(subject: RpcSubject) -> Outcome:
    return _first(subject, shape=[*subject.sample[0].shape, 1, 1, 1])


@refused("a shape that does not fit the metadata: a fixed size")
def rpc_wrong_fixed_size(subject: RpcSubject) -> Outcome:
    sample = subject.sample
    given = {each.name: each for each in sample}
    for described in subject.rest.inputs:
        fits = described.name in given and described.fits(given[described.name].shape)
        for at, said in enumerate(described.shape if fits else ()):
            if said > 0:
                inputs = [
                    wider(each, at) if each.name == described.name else each for each in subject.sample
                ]
                return subject.ask(subject.request(inputs))
    raise Skipped("no input that was sent has a fixed size")


@refused("fewer contents than the shape has elements")
def rpc_too_few_data(subject: RpcSubject) -> Outcome:
    subject.needs_form(raw=False)
    first, *others = subject.typed_sample
    return subject.infer([replace(first, values=first.values[:-1]), *others], raw=False)


@refused("more contents than the shape has elements")
def rpc_too_many_data(subject: RpcSubject) -> Outcome:
    subject.needs_form(raw=False)
    first, *others = subject.typed_sample
    return subject.infer([replace(first, values=(*first.values, *first.values[-1:])), *others], raw=False)


@refused("contents of another datatype than the input has")
def rpc_contents_of_another_datatype(subject: RpcSubject) -> Outcome:
    subject.needs_form(raw=False)
    request = typed_request(subject.model, subject.typed_sample)
    contents, own = request.inputs[0].contents, CONTENTS[subject.sample[0].datatype]
    other = "int64_contents" if own == "bytes_contents" else "bytes_contents"
    wrong = 1 if own == "bytes_contents" else b"1"
    getattr(contents, other).extend([wrong] * len(getattr(contents, own)))
    contents.ClearField(own)
    return subject.ask(request)


@refused("both `raw_input_contents` and `contents`")
def rpc_both_contents(subject: RpcSubject) -> Outcome:
    request = typed_request(subject.model, subject.typed_sample)
    request.raw_input_contents.extend(each.octets for each in subject.sample)
    return subject.ask(request)


@refused("octets that end one before the last element does")
def rpc_size_too_small(subject: RpcSubject) -> Outcome:
    subject.needs_form(raw=True)
    request = raw_request(subject.model, subject.sample)
    at = _of_fixed_size(subject)
    request.raw_input_contents[at] = request.raw_input_contents[at][:-1]
    return subject.ask(request)


@refused("more octets than the shape and the datatype have")
def rpc_shape_beyond_octets(subject: RpcSubject) -> Outcome:
    subject.needs_form(raw=True)
    request = raw_request(subject.model, subject.sample)
    request.raw_input_contents[_of_fixed_size(subject)] += b"\0" * 8
    return subject.ask(request)


@refused("BYTES whose length goes beyond the octets")
def rpc_bytes_beyond_octets(subject: RpcSubject) -> Outcome:
    subject.needs_form(raw=True)
    request = raw_request(subject.model, subject.sample)
    for at, each in enumerate(subject.sample):
        if each.datatype == BYTES and each.values:
            octets = each.octets
            request.raw_input_contents[at] = b"\xff\xff\xff\x7f" + octets[4:]
            return subject.ask(request)
    raise Skipped("no input is BYTES")


def _of_fixed_size(subject: RpcSubject) -> int:
    for at, each in enumerate(subject.sample):
        if each.datatype != BYTES and each.values:
            return at
    raise Skipped("all inputs are BYTES")


ROWS: tuple[Row, ...] = rows_in(globals())
