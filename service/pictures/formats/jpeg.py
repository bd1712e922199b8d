"""JPEG (ITU-T T.81): its frame, tables and scans, whatever stands between them."""

import re
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

_SOI = b"\xff\xd8"
_SOS, _SOF, _DHT, _DAC = 0xDA, range(0xC0, 0xD0), 0xC4, 0xCC
_APP0, _APP1, _APP14, _COMMENT = 0xE0, 0xE1, 0xEE, 0xFE
_NO_FRAMES = (_DHT, 0xC8, _DAC)
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length: TEM, RST, SOI

# The frames that libjpeg-turbo decodes, and what the others are (T.81, table B.1).
_DECODED = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
_FRAMES = {0xC3: "without loss", 0xCB: "without loss"}

_FILL = re.compile(rb"\xff+")


class _Segment(NamedTuple):
    """`body` without marker and length; less of it where the file is cut short."""

    marker: int
    body: bytes


def stripped(data: bytes) -> Stripped:
    """What decides on pixels and colours: of the application segments, those of JFIF and Adobe."""
    kept: list[bytes | memoryview] = [_SOI]
    orientation = None
    for segment, rest in _segments(data):
        if segment.marker in _SOF and segment.marker not in _NO_FRAMES:
            _refuse_other_frames(segment)
        if segment.marker == _APP1 and segment.body.startswith(b"Exif\0") and orientation is None:
            orientation = orientation_of(segment.body)
        if _decides(segment):
            length = len(segment.body) + 2
            kept.append(bytes((0xFF, segment.marker)) + length.to_bytes(2) + segment.body)
        if segment.marker == _SOS:
            kept.append(rest)
    return Stripped(b"".join(kept), orientation or UPRIGHT)


def _segments(data: bytes) -> Iterator[tuple[_Segment, memoryview]]:
    """Up to the first scan, and what follows each. Bytes that belong to none are passed over."""
    view, at = memoryview(data), len(_SOI)
    for _ in range(MAX_PIECES):
        found = _FILL.search(data, at)
        if not found or found.end() == len(data):
            return
        marker, at = data[found.end()], found.end() + 1
        if marker == 0 or marker in _ALONE:
            continue
        end = at + max(2, int.from_bytes(view[at : at + 2]))
        yield _Segment(marker, data[at + 2 : end]), view[end:]
        at = end
        if marker == _SOS:
            return
    raise too_many_pieces("JPEG")


def _decides(segment: _Segment) -> bool:
    marker, body = segment
    if marker == _APP0:
        return body.startswith(b"JFIF\0") and len(body) >= 14
    if marker == _APP14:
        return body.startswith(b"Adobe") and len(body) >= 12
    return not (_APP0 <= marker <= 0xEF or marker == _COMMENT)


def _refuse_other_frames(frame: _Segment) -> None:
    """Raises UnsupportedMediaType where it is of a kind that is not decoded."""
    marker, body = frame
    if len(body) < 6:
        return
    if marker not in _DECODED:
        raise not_read("JPEG", _FRAMES.get(marker, "hierarchical, or one that few programs write"))
    if body[0] != 8:
        raise not_read("JPEG", f"{body[0]} bits a sample")
    if body[5] not in (1, 3, 4):
        raise not_read("JPEG", f"{body[5]} colour components")
    if body[1:3] == b"\0\0":
        raise not_read("JPEG", "its height stands behind its pixels (DNL)")
