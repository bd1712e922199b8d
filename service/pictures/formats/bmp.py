"""BMP: bit fields of any layout become bytes, and headers of any length one that Pillow knows.

After Microsoft's BITMAPINFOHEADER to BITMAPV5HEADER, and OS/2's before them.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.pictures.formats.stripping import Stripped, not_read

_FILE_HEADER, _CORE, _INFO, _OS2, _V2, _V3, _V4, _V5 = 14, 12, 40, 64, 52, 56, 108, 124  # bytes
_BIT_FIELDS, _ALPHA_BIT_FIELDS = 3, 6
_KINDS = {4: "a JPEG within it", 5: "a PNG within it", 11: "CMYK", 12: "CMYK", 13: "CMYK"}
_OS2_KINDS = {3: "Huffman coding", 4: "24 bits, run-length coded"}
_DEPTHS = (1, 4, 8, 16, 24, 32)
_USUAL = {16: (0x7C00, 0x03E0, 0x001F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}  # masks, where a file has none

_BAND = 1 << 18  # pixels that are converted at once


class _Header(NamedTuple):
    """Up to the palette; `masks`: red, green, blue, alpha, of bit fields alone."""

    size: int
    width: int
    height: int
    bits: int
    compression: int
    pixels_at: int
    masks: tuple[int, ...] | None


def stripped(data: bytes) -> Stripped:
    """Raises UnsupportedMediaType where it is of a kind that is not read."""
    data = _with_usual_header(data)
    header = _read(data)
    if header is None:
        return Stripped(data)
    kinds = _OS2_KINDS if header.size == _OS2 else _KINDS
    if header.compression in kinds:
        raise not_read("BMP", kinds[header.compression])
    if header.bits not in _DEPTHS:
        raise not_read("BMP", f"{header.bits} bits a pixel")
    if header.masks and header.bits in _USUAL:
        return Stripped(_of_bytes(data, header, header.masks))
    return Stripped(data)


def _with_usual_header(data: bytes) -> bytes:
    """OS/2's second kind of header may end after any field; a palette is at times said to be too large."""
    size, pixels_at = (int.from_bytes(data[at : at + 4], "little") for at in (14, 10))
    if _CORE < size < _OS2 and size not in (_INFO, _V2, _V3):
        moved = pixels_at + _INFO - size if pixels_at else 0
        fields = data[18 : _FILE_HEADER + min(size, _INFO)].ljust(_INFO - 4, b"\0")
        head = data[:10] + max(0, moved).to_bytes(4, "little") + _INFO.to_bytes(4, "little") + fields
        data = head + data[_FILE_HEADER + size :]
    bits, colours = int.from_bytes(data[28:30], "little"), int.from_bytes(data[46:50], "little")
    if size != _CORE and bits <= 8 and colours > 1 << bits and pixels_at:
        data = data[:46] + (1 << bits).to_bytes(4, "little") + data[50:]
    return data


def _read(data: bytes) -> _Header | None:
    """None where there is none, or one of OS/2's first kind, which has no bit fields."""
    size, pixels_at = (int.from_bytes(data[at : at + 4], "little") for at in (14, 10))
    if size == _CORE or len(data) < _FILE_HEADER + _INFO:
        return None
    if size not in (_INFO, _V2, _V3, _OS2, _V4, _V5):
        raise not_read("BMP", f"a header of {size} bytes")
    _, width, height, _, bits, compression = struct.unpack_from("<IiiHHI", data, _FILE_HEADER)
    masks = None
    if size != _OS2 and compression in (_BIT_FIELDS, _ALPHA_BIT_FIELDS):
        many = 4 if size >= _V3 or compression == _ALPHA_BIT_FIELDS else 3
        stored = data[_FILE_HEADER + _INFO :][: 4 * many].ljust(16, b"\0")
        masks = struct.unpack("<4I", stored)
        pixels_at = pixels_at or _FILE_HEADER + max(size, _INFO + 4 * many)
    return _Header(size, width, height, bits, compression, pixels_at, masks)


def _of_bytes(data: bytes, header: _Header, masks: tuple[int, ...]) -> bytes:
    """The same picture with a byte a channel: as many pixels as there are."""
    if not any(masks):
        masks = _USUAL[header.bits]
    fields = [_Field.of(mask) for mask in (*masks[2::-1], masks[3])]  # blue, green, red, alpha
    alpha = masks[3] != 0
    compression, size = (_BIT_FIELDS, _V3) if alpha else (0, _INFO)
    pixels_at = _FILE_HEADER + size
    head = struct.pack("<2sIIIIii", b"BM", 0, 0, pixels_at, size, header.width, header.height)
    head += struct.pack("<HHIIIIII", 1, 32, compression, 0, 0, 0, 0, 0)
    head += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) if alpha else b""
    return b"".join([head, *_converted(data, header, fields)])


class _Field(NamedTuple):
    shift: int
    bits: int

    @classmethod
    def of(cls, mask: int) -> "_Field":
        shift = (mask & -mask).bit_length() - 1 if mask else 0
        bits = (mask >> shift).bit_length()
        if mask >> shift != (1 << bits) - 1:
            raise not_read("BMP", "bit fields with gaps")
        return cls(shift, bits)

    def byte_of(self, pixels_u32: NDArray[np.uint32]) -> NDArray[np.uint8]:
        if not self.bits:
            return np.zeros(pixels_u32.shape, dtype=np.uint8)
        highest = (1 << self.bits) - 1
        levels = (pixels_u32 >> self.shift) & np.uint32(highest)
        if self.bits > 8:
            return (levels >> (self.bits - 8)).astype(np.uint8)
        return ((levels * 255 + highest // 2) // highest).astype(np.uint8)


def _converted(data: bytes, header: _Header, fields: list[_Field]) -> Iterator[bytes]:
    """Band after band; rows of 16-bit pixels are filled up to four bytes, and those of 32 are not."""
    stored = header.bits // 8
    stride = max(4, -(-abs(header.width) * header.bits // 32) * 4)
    rows = min(abs(header.height), max(0, len(data) - header.pixels_at) // stride)
    of_band = max(1, _BAND // max(1, abs(header.width)))
    for first in range(0, rows, of_band):
        many = min(of_band, rows - first)
        band = np.frombuffer(
            data, f"<u{stored}", many * stride // stored, header.pixels_at + first * stride
        )
        pixels = band.reshape(many, -1)[:, : abs(header.width)].astype(np.uint32)
        yield np.stack([field.byte_of(pixels) for field in fields], axis=2).tobytes()
