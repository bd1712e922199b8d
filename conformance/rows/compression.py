"""Bodies that are compressed on the wire."""

import gzip
import zlib
from collections.abc import Callable

from conformance.client import HEADER, Answer, encode
from conformance.refusal import refused
from conformance.row import Failed, Row, row, rows_in
from conformance.subject import Subject, binary_request, request, tail_of

CLIENT, AIO = "tritonclient 2.73.0 http", "tritonclient 2.73.0 http.aio"
ASKS = {"Accept-Encoding": "gzip, deflate, br"}


def _json(subject: Subject, coding: str, compress: Callable[[bytes], bytes]) -> Answer:
    headers, content = encode(request(subject.json_sample), None)
    return subject.post_octets(compress(content), {**headers, "Content-Encoding": coding})


def _octets(subject: Subject, coding: str, compress: Callable[[bytes], bytes]) -> Answer:
    """The length of the JSON is that before it was compressed, and may be beyond the body's."""
    subject.needs_binary()
    headers, content = encode(binary_request(subject.sample), tail_of(subject.sample))
    return subject.post_octets(compress(content), {**headers, "Content-Encoding": coding})


@row(CLIENT, "a request in gzip")
def gzip_request(subject: Subject) -> None:
    subject.same(subject.reply(_json(subject, "gzip", gzip.compress)))


@row(CLIENT, "a request in deflate (zlib)")
def deflate_request(subject: Subject) -> None:
    subject.same(subject.reply(_json(subject, "deflate", zlib.compress)))


@row(CLIENT, f"a binary request in gzip; {HEADER} is that of the inflated JSON")
def gzip_octets(subject: Subject) -> None:
    subject.same(subject.reply(_octets(subject, "gzip", gzip.compress)))


@row(CLIENT, "a binary request in deflate, likewise")
def deflate_octets(subject: Subject) -> None:
    subject.same(subject.reply(_octets(subject, "deflate", zlib.compress)))


@refused("RFC 9110, 8.4", "a body in gzip that is damaged")
def damaged_gzip(subject: Subject) -> Answer:
    return _json(subject, "gzip", lambda content: gzip.compress(content)[:-12])


@row("RFC 9110, 8.4; Triton: 501", "a coding that nobody knows is refused")
def unknown_coding(subject: Subject) -> None:
    answer = _json(subject, "rot13", lambda content: content)
    if not (400 <= answer.status < 500 or answer.status == 501):
        raise Failed(f"answered {answer.in_short}")


@row(AIO, "an answer to who accepts gzip, deflate and br can be read by it: no br")
def coding_of_answers(subject: Subject) -> None:
    reply = subject.reply(subject.post(request(subject.json_sample), headers=ASKS))
    if reply.answer.headers.get("content-encoding", "identity") not in ("identity", "gzip", "deflate"):
        raise Failed(f"Content-Encoding is {reply.answer.headers['content-encoding']}")


@row(AIO, "metadata and errors are never compressed, whatever is accepted")
def metadata_not_compressed(subject: Subject) -> None:
    for path in ("/v2", subject.path, "/v2/models/no-such-model-7f3a"):
        found = subject.client.get(path, ASKS).headers.get("content-encoding", "identity")
        if found != "identity":
            raise Failed(f"Content-Encoding of {path} is {found}")


ROWS: tuple[Row, ...] = rows_in(globals())
