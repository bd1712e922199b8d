"""WebP (RFC 9649): its chunks, framed anew, so that a wrong length or a missing last byte is no harm."""

from service.pictures.formats.stripping import MAX_PIECES, Stripped, cut_short, too_many_pieces

_HEAD = 12  # bytes: RIFF, the length of what follows, WEBP
_PIXELS = (b"VP8 ", b"VP8L", b"ANMF")
_FILLED = 1  # byte that may be missing of the last chunk: most encoders fill them up to an even length


def stripped(data: bytes) -> Stripped:
    """Those chunks that are there whole; what follows them is none."""
    chunks: list[bytes] = []
    at = _HEAD
    for _ in range(MAX_PIECES):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + length
        if at + 8 > len(data) or end > len(data) + _FILLED:
            if not any(chunk.startswith(_PIXELS) for chunk in chunks):
                raise cut_short("WEBP")
            framed = b"".join(chunks)
            size = len(framed) + 4
            return Stripped(b"".join([b"RIFF", size.to_bytes(4, "little"), b"WEBP", framed]))
        even = length + length % 2
        chunks.append(data[at : at + 8] + data[at + 8 : end].ljust(even, b"\0"))
        at += 8 + even
    raise too_many_pieces("WEBP")
