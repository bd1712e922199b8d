"""Content codings: requests are inflated within a limit, answers deflated for those who ask for it.

RFC 9110, section 8.4.1: `gzip` is RFC 1952, `deflate` RFC 1950 (and, of some clients, RFC 1951).
"""

import zlib
from collections.abc import Callable
from typing import Literal

from service.endpoints.answer import media_ranges
from service.errors import InvalidRequest
from service.serving.steps import Steps

Coding = Literal["gzip", "deflate"]
CODINGS: tuple[Coding, ...] = ("gzip", "deflate")

PIECE_BYTES = 64 * 1024  # that come out at a time
MOST_MEMBERS = 16  # of a gzip (RFC 1952, section 2.2)
LEAST_BYTES = 1024  # of an answer that is worth it
LEVEL = 1  # of nine: the answers are numbers, of which more work saves next to nothing

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def inflating(content: bytes, coding: str, on_more: Callable[[int], None]) -> Steps[bytes]:
    """What was encoded. `on_more` is told of every so many bytes more, and may refuse them.

    Raises InvalidRequest where it is damaged or ends early, or what `on_more` raises.
    """
    inflated = bytearray()
    window = _window(coding, content)
    stream, members = zlib.decompressobj(window), 1
    for at in range(0, len(content), PIECE_BYTES):
        rest = content[at : at + PIECE_BYTES]
        while rest:
            if stream.eof:
                members += 1
                if coding != "gzip" or members > MOST_MEMBERS:
                    raise InvalidRequest(f"Something is left behind the {coding} of the body.")
                stream = zlib.decompressobj(window)
            inflated += _piece(stream, rest, coding, on_more)
            rest = stream.unused_data if stream.eof else stream.unconsumed_tail
            yield
    while not stream.eof:
        piece = _piece(stream, b"", coding, on_more)
        if not piece and not stream.eof:
            raise InvalidRequest(f"The body ends within its {coding}.")
        inflated += piece
        yield
    return bytes(inflated)


def _piece(
    stream: "zlib._Decompress", content: bytes, coding: str, on_more: Callable[[int], None]
) -> bytes:
    try:
        piece = stream.decompress(content, PIECE_BYTES)
    except zlib.error as error:
        raise InvalidRequest(f"The body is no {coding}: {error}.") from None
    on_more(len(piece))
    return piece


def deflating(content: bytes, coding: Coding) -> Steps[bytes]:
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP if coding == "gzip" else _ZLIB)
    pieces = []
    for at in range(0, len(content), PIECE_BYTES):
        pieces.append(stream.compress(content[at : at + PIECE_BYTES]))
        yield
    return b"".join([*pieces, stream.flush()])


def accepted(accept_encoding: bytes | None, size: int) -> Coding | None:
    """For an answer of that size (RFC 9110, section 12.5.3); None: as it is."""
    if accept_encoding is None or size < LEAST_BYTES:
        return None
    ranges = media_ranges(accept_encoding[:1024].decode("latin-1"))
    asked = {coding: weight > 0 for coding, _, weight in ranges}
    return next((coding for coding in CODINGS if asked.get(coding, asked.get("*", False))), None)


def _window(coding: str, content: bytes) -> int:
    if coding == "gzip":
        return _GZIP
    is_zlib = len(content) > 1 and content[0] & 15 == 8 and (content[0] * 256 + content[1]) % 31 == 0
    return _ZLIB if is_zlib else _RAW
