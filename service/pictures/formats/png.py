"""PNG (third edition): the chunks of which pixels are made, whatever stands between them."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from service.pictures.formats.stripping import (
    MAX_PIECES,
    UPRIGHT,
    Stripped,
    not_read,
    orientation_of,
    too_many_pieces,
)

_SIGNATURE = 8  # bytes
_END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
_GREY, _RGB = 0, 2  # colour types
_KEPT = (b"PLTE", b"IDAT")


class _Chunk(NamedTuple):
    """`body`: without length, type and checksum, which `whole` has. Less of it where a file is cut off."""

    kind: bytes
    body: memoryview
    whole: memoryview

    def is_whole(self) -> bool:
        return len(self.whole) == len(self.body) + 12

    def is_sound(self) -> bool:
        return zlib.crc32(self.body, zlib.crc32(self.kind)) == int.from_bytes(self.whole[-4:])


def stripped(data: bytes) -> Stripped:
    """Header, palette, colour key and pixels. An animation is the picture that is shown without one."""
    kept: list[bytes | memoryview] = [data[:_SIGNATURE]]
    orientation, header = UPRIGHT, None
    for chunk in _chunks(data):
        if chunk.kind == b"CgBI":
            raise not_read("PNG", "Apple's own variant of it (CgBI), which only its devices show")
        if chunk.kind == b"IHDR" and header is None:
            header = chunk.body
            kept.append(chunk.whole)
        elif chunk.kind in _KEPT:
            kept.append(chunk.whole if chunk.is_whole() else _chunk(chunk.kind, bytes(chunk.body)))
        elif chunk.kind == b"tRNS" and header is not None and len(header) >= 13 and chunk.is_sound():
            kept.append(_colour_key(chunk, header))
        elif chunk.kind == b"eXIf":
            orientation = orientation_of(bytes(chunk.body))
    kept.append(_END)
    return Stripped(b"".join(kept), orientation)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    view, at = memoryview(data), _SIGNATURE
    for _ in range(MAX_PIECES):
        length, kind = int.from_bytes(view[at : at + 4]), data[at + 4 : at + 8]
        if len(kind) < 4 or kind == b"IEND":
            return
        end = at + 8 + length
        yield _Chunk(kind, view[at + 8 : end], view[at : end + 4])
        at = end + 4
    raise too_many_pieces("PNG")


def _colour_key(chunk: _Chunk, header: memoryview) -> bytes | memoryview:
    """In the levels of Pillow's pixels, which has the key as it is stored, and grey below 8 bits does not.

    Nor does colour above 8 bits, of which Pillow keeps the high byte.
    """
    depth, colour = header[8], header[9]
    if colour == _GREY and depth in (2, 4):
        highest = (1 << depth) - 1
        return _chunk(b"tRNS", ((int.from_bytes(chunk.body[:2]) & highest) * 255 // highest).to_bytes(2))
    if colour == _RGB and depth > 8:
        return _chunk(b"tRNS", b"".join(bytes((0, level)) for level in chunk.body[:6:2]))
    return chunk.whole


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
