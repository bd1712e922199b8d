"""Inputs that are wrong: names, datatypes, shapes and data that do not agree."""

from typing import Any

from conformance.client import Answer
from conformance.datatypes import BYTES, FORMATS, is_integer
from conformance.refusal import refused
from conformance.row import Row, Skipped, rows_in
from conformance.subject import Subject, instead, request
from conformance.tensors import Tensor, wider

INPUT, DATA, TYPES = "REST: Request Input", "REST: Tensor Data", "REST: Tensor Data Types"
NUMBERS = frozenset(FORMATS) - {"BOOL"}


def _first(subject: Subject, **members: Any) -> Answer:
    return subject.post(instead(subject.json_sample, members))


@refused(INPUT, "an input without a name")
def input_without_name(subject: Subject) -> Answer:
    return _first(subject, name=None)


@refused(INPUT, "an input without a datatype")
def input_without_datatype(subject: Subject) -> Answer:
    return _first(subject, datatype=None)


@refused(INPUT, "an input without a shape")
def input_without_shape(subject: Subject) -> Answer:
    return _first(subject, shape=None)


@refused(INPUT, "an input without data")
def input_without_data(subject: Subject) -> Answer:
    return _first(subject, data=None)


@refused(TYPES, "a datatype that the protocol does not have")
def unknown_datatype(subject: Subject) -> Answer:
    return _first(subject, datatype="FLOAT7")


@refused(INPUT, "a shape that is no array of integers")
def shape_of_strings(subject: Subject) -> Answer:
    return _first(subject, shape=["a"])


@refused(INPUT, "a negative size in the shape (each is an unsigned 64-bit integer)")
def negative_size(subject: Subject) -> Answer:
    shape = subject.json_sample[0].shape
    return _first(subject, shape=[-1, *shape[1:]])


@refused(INPUT, "sizes whose product is beyond 64 bits")
def overflowing_shape(subject: Subject) -> Answer:
    return _first(subject, shape=[2**32, 2**32, *subject.json_sample[0].shape[2:]])


@refused(INPUT, "a shape of more elements than there are data")
def too_few_data(subject: Subject) -> Answer:
    return _first(subject, data=subject.json_sample[0].data[:-1])


@refused(INPUT, "more data than the shape has elements")
def too_many_data(subject: Subject) -> Answer:
    data = subject.json_sample[0].data
    return _first(subject, data=[*data, *data[-1:]])


@refused("REST: Model Metadata: shape", "a shape that does not fit the metadata: rank")
def wrong_rank(subject: Subject) -> Answer:
    return _first(subject, shape=[*subject.json_sample[0].shape, 1, 1, 1])


@refused("REST: Model Metadata: shape", "a shape that does not fit the metadata: a fixed size")
def wrong_fixed_size(subject: Subject) -> Answer:
    given = {each.name: each for each in subject.json_sample}
    for described in subject.inputs:
        fits = described.name in given and described.fits(given[described.name].shape)
        for at, said in enumerate(described.shape if fits else ()):
            if said > 0:
                inputs = [
                    wider(each, at) if each.name == described.name else each for each in subject.json_sample
                ]
                return subject.post(request(inputs))
    raise Skipped("no input that was sent has a fixed size")


@refused(DATA, "nested data whose lists differ in length")
def ragged_data(subject: Subject) -> Answer:
    for at, each in enumerate(subject.json_sample):
        if len(each.values) > 1 and len(each.shape) > 1:
            document = request(subject.json_sample)
            document["inputs"][at]["data"] = [[each.data[0]], [], each.data[1:], [[]]]
            return subject.post(document)
    raise Skipped("no input has two elements")


def _element(subject: Subject, wrong: Any, meant: str) -> Answer:
    """The first input of a fitting datatype, with a wrong first element."""
    datatypes = {"number": NUMBERS, "integer": filter(is_integer, NUMBERS), "bytes": [BYTES]}
    fitting = set(datatypes[meant])
    for at, each in enumerate(subject.json_sample):
        if each.values and each.datatype in fitting:
            document = request(subject.json_sample)
            value = wrong(each) if callable(wrong) else wrong
            document["inputs"][at]["data"] = [value, *each.data[1:]]
            return subject.post(document)
    raise Skipped(f"no input has the datatype: {meant}")


@refused(DATA, "a string in a tensor of numbers")
def string_for_number(subject: Subject) -> Answer:
    return _element(subject, "four", "number")


@refused(DATA, "an object in a tensor of numbers")
def object_for_number(subject: Subject) -> Answer:
    return _element(subject, {"a": 1}, "number")


@refused(DATA, "a fraction in a tensor of integers")
def fraction_for_integer(subject: Subject) -> Answer:
    return _element(subject, 1.5, "integer")


@refused(DATA, "an integer that the datatype cannot hold")
def integer_out_of_range(subject: Subject) -> Answer:
    return _element(subject, _beyond, "integer")


@refused(DATA, "a number in a tensor of BYTES")
def number_for_bytes(subject: Subject) -> Answer:
    return _element(subject, 7, "bytes")


def _beyond(tensor: Tensor) -> int:
    signed = not tensor.datatype.startswith("U")
    return 1 << (int(tensor.datatype.lstrip("UINT")) - signed)


ROWS: tuple[Row, ...] = rows_in(globals())
