"""GIF (89a): its first frame, whatever stands before and behind it."""

from service.pictures.formats.stripping import MAX_PIECES, Stripped, too_many_pieces

_HEAD, _DESCRIPTOR = 13, 10  # bytes: of the file with its screen, of a frame
_EXTENSION, _FRAME, _CONTROL, _END = 0x21, 0x2C, 0xF9, b";"
_MOST_BLOCKS = 4 * MAX_PIECES  # of 255 bytes each; more than an upload holds


def stripped(data: bytes) -> Stripped:
    """Its screen, its first frame, and what is said of that frame's transparency; of it, what is there."""
    at = _HEAD + _palette(data, 10)
    kept, control = [data[:at]], b""
    for _ in range(MAX_PIECES):
        kind = data[at : at + 1]
        if kind == bytes((_EXTENSION,)):
            start, at = at, _whole_blocks(data, at + 2) + 1
            if data[start + 1 : start + 2] == bytes((_CONTROL,)):
                control = data[start:at]
        elif kind == bytes((_FRAME,)):
            blocks = at + _DESCRIPTOR + _palette(data, at + 9) + 1
            kept += [control, data[at:blocks], _frame(data, blocks), _END]
            return Stripped(b"".join(kept))
        else:
            return Stripped(data)
    raise too_many_pieces("GIF")


def _palette(data: bytes, flags_at: int) -> int:
    """How many bytes it has."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 128 else 0


def _whole_blocks(data: bytes, at: int) -> int:
    """Where those end that begin at `at`: at an empty one, or at one that is not there whole."""
    for _ in range(_MOST_BLOCKS):
        if at >= len(data) or data[at] == 0 or at + data[at] >= len(data):
            return at
        at += data[at] + 1
    raise too_many_pieces("GIF")


def _frame(data: bytes, at: int) -> bytes:
    """Its blocks, and of one that is cut off what there is."""
    end = _whole_blocks(data, at)
    rest = data[end + 1 :] if data[end : end + 1] != b"\0" else b""
    return data[at:end] + (bytes((len(rest),)) + rest if rest else b"") + b"\0"
