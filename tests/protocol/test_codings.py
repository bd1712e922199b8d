"""Bodies in gzip and deflate: undone in pieces, within a limit, and refused where they are damaged."""

import gzip
import zlib

import pytest

from service.errors import InvalidRequest, PayloadTooLarge
from service.protocol.codings import LEAST_BYTES, MOST_MEMBERS, accepted, deflating, inflating
from service.serving.steps import taken

TEXT = bytes(range(256)) * 4000


def inflated(content: bytes, coding: str) -> bytes:
    return taken(inflating(content, coding, lambda _: None))


def raw(content: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(content) + stream.flush()


@pytest.mark.parametrize("text", [b"", b"a", TEXT], ids=len)
def test_what_clients_send(text: bytes) -> None:
    assert inflated(gzip.compress(text), "gzip") == text
    assert inflated(zlib.compress(text), "deflate") == text
    assert inflated(raw(text), "deflate") == text
    assert inflated(gzip.compress(text) + gzip.compress(b"more"), "gzip") == text + b"more"


def test_what_is_answered() -> None:
    assert gzip.decompress(taken(deflating(TEXT, "gzip"))) == TEXT
    assert zlib.decompress(taken(deflating(TEXT, "deflate"))) == TEXT


def test_a_bomb_goes_no_further_than_its_limit() -> None:
    bomb, seen = gzip.compress(b"\0" * 50_000_000), 0

    def refuse(more: int) -> None:
        nonlocal seen
        seen += more
        if seen > 1_000_000:
            raise PayloadTooLarge("")

    with pytest.raises(PayloadTooLarge):
        taken(inflating(bomb, "gzip", refuse))
    assert seen < 1_100_000


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_damaged_is_refused(coding: str) -> None:
    whole = gzip.compress(TEXT) if coding == "gzip" else zlib.compress(TEXT)
    wrong = [b"", whole[:-1], whole[:5], b"{}", whole[:100] + b"\xff" * 9 + whole[109:], whole + b"x"]
    for content in wrong:
        with pytest.raises(InvalidRequest):
            inflated(content, coding)


def test_members_without_an_end_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        inflated(gzip.compress(b"") * (MOST_MEMBERS + 1), "gzip")


@pytest.mark.parametrize(
    ("asked", "coding"),
    [
        (None, None),
        (b"gzip, deflate, br", "gzip"),
        (b"deflate", "deflate"),
        (b"gzip;q=0, deflate;q=0.5", "deflate"),
        (b"*", "gzip"),
        (b"*;q=0", None),
        (b"br", None),
        (b"identity", None),
        (b"GZIP", "gzip"),
    ],
)
def test_what_is_asked_for(asked: bytes | None, coding: str | None) -> None:
    assert accepted(asked, LEAST_BYTES) == coding
    assert accepted(asked, LEAST_BYTES - 1) is None
