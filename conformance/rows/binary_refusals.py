"""Octets that are not what the JSON and the headers say."""

import struct
from typing import Any

from conformance.client import HEADER, Answer
from conformance.datatypes import BYTES
from conformance.refusal import refused
from conformance.row import Row, Skipped, rows_in
from conformance.subject import Subject, binary_request, tail_of

BINARY = "Binary tensor data"


def _post(
    subject: Subject, document: dict[str, Any], tail: bytes, headers: dict[str, str | None] | None = None
) -> Answer:
    subject.needs_binary()
    return subject.post(document, tail, headers)


def _size(subject: Subject, change: Any) -> Answer:
    """The first input says another size than its octets have."""
    document = binary_request(subject.sample)
    size = len(subject.sample[0].octets)
    document["inputs"][0]["parameters"]["binary_data_size"] = change(size)
    return _post(subject, document, tail_of(subject.sample))


def _header(subject: Subject, value: str | None) -> Answer:
    return _post(subject, binary_request(subject.sample), tail_of(subject.sample), {HEADER: value})


@refused(BINARY, "a length of the JSON beyond the body")
def header_beyond_body(subject: Subject) -> Answer:
    return _header(subject, "99999999")


@refused(BINARY, "a negative length of the JSON")
def negative_header(subject: Subject) -> Answer:
    return _header(subject, "-1")


@refused(BINARY, "a length of the JSON that is no number")
def header_no_number(subject: Subject) -> Answer:
    return _header(subject, "ten")


@refused(BINARY, "a length that ends within the JSON")
def header_within_json(subject: Subject) -> Answer:
    return _header(subject, "20")


@refused(BINARY, f"octets without {HEADER}")
def no_header(subject: Subject) -> Answer:
    return _header(subject, None)


@refused(BINARY, "a `binary_data_size` that is less than the shape takes")
def size_too_small(subject: Subject) -> Answer:
    return _size(subject, lambda size: size - 1)


@refused(BINARY, "a `binary_data_size` that is more than the body has")
def size_too_large(subject: Subject) -> Answer:
    return _size(subject, lambda size: size + 1_000_000)


@refused(BINARY, "a negative `binary_data_size`")
def negative_data_size(subject: Subject) -> Answer:
    return _size(subject, lambda size: -size or -1)


@refused(BINARY, "a `binary_data_size` near the end of 64 bits")
def data_size_of_64_bits(subject: Subject) -> Answer:
    return _size(subject, lambda _: 2**63 - 1)


@refused(BINARY, "a `binary_data_size` that is no integer")
def data_size_no_integer(subject: Subject) -> Answer:
    return _size(subject, lambda _: "many")


@refused(BINARY, "a body that ends before the last tensor does")
def octets_end_early(subject: Subject) -> Answer:
    return _post(subject, binary_request(subject.sample), tail_of(subject.sample)[:-1])


@refused(BINARY, "octets behind the last tensor")
def octets_left_over(subject: Subject) -> Answer:
    return _post(subject, binary_request(subject.sample), tail_of(subject.sample) + b"\0\0\0\0")


@refused(BINARY, "`data` and `binary_data_size` in one input")
def data_and_octets(subject: Subject) -> Answer:
    document = binary_request(subject.json_sample)
    document["inputs"][0]["data"] = subject.json_sample[0].data
    return _post(subject, document, tail_of(subject.sample))


@refused(BINARY, "more elements in the shape than octets")
def shape_beyond_octets(subject: Subject) -> Answer:
    document = binary_request(subject.sample)
    first, *others = document["inputs"][0]["shape"] or [1]
    document["inputs"][0]["shape"] = [first + 1, *others]
    return _post(subject, document, tail_of(subject.sample))


@refused(BINARY, "a shape whose product is beyond 64 bits")
def overflowing_shape_of_octets(subject: Subject) -> Answer:
    document = binary_request(subject.sample)
    document["inputs"][0]["shape"] = [2**32, 2**32, *document["inputs"][0]["shape"][2:]]
    return _post(subject, document, tail_of(subject.sample))


@refused(BINARY, "an element of BYTES that says more octets than there are")
def bytes_beyond_octets(subject: Subject) -> Answer:
    for at, each in enumerate(subject.sample):
        if each.datatype == BYTES and each.values:
            octets = [tensor.octets for tensor in subject.sample]
            octets[at] = struct.pack("<I", 0xFFFFFFF0) + octets[at][4:]
            return _post(subject, binary_request(subject.sample), b"".join(octets))
    raise Skipped("the model has no input of BYTES")


ROWS: tuple[Row, ...] = rows_in(globals())
