"""TIFF (revision 6.0) and BigTIFF: the tags of the first picture that its pixels are made by.

A directory of these alone is written behind the file, which is else as it came. Kinds that Pillow would
misread in silence are refused.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from service.pictures.formats.depths import INVERTED, UNSIGNED
from service.pictures.formats.stripping import (
    ORIENTATION,
    TURNS,
    UPRIGHT,
    WHOLE,
    Order,
    Stripped,
    cut_short,
    not_read,
)

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR = 256, 257, 258, 259, 262, 277, 284
STRIPS, ROWS, STRIP_SIZES, TILES, EXTRA, FORMAT, SUBSAMPLING = 273, 278, 279, 324, 338, 339, 530

# Besides these: fill order, rows and bytes of strips, options of fax, predictor, palette, tiles, inks, the
# tables of JPEG (both kinds), and what YCbCr is made by.
_KEPT = {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, STRIPS, TILES, EXTRA, FORMAT}
_KEPT |= {266, 278, 279, 292, 293, 317, 320, 322, 323, 325, 332, 347, *range(512, 522), *range(529, 533)}

# Types of numbers and text (TIFF 6.0, page 15; BigTIFF's are the last three), and how many bytes one has.
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_SHORT, _LONG, _LONG8 = 3, 4, 16

_SAMPLE_FORMATS = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
_UNSIGNED, _SIGNED, _UNSPECIFIED = 1, 2, 4
_WHITE_IS_0, _BLACK_IS_0, _PALETTE, _YCBCR, _CIELAB = 0, 1, 3, 6, 8
_PLAIN, _WEBP, _APART = 1, 50_001, 2  # of COMPRESSION; of PLANAR

_NO_PLANES = (_WHITE_IS_0, _BLACK_IS_0, _PALETTE, _YCBCR, _CIELAB)


class _Tag(NamedTuple):
    kind: int
    value: bytes

    def numbers(self, order: Order, most: int = 16) -> tuple[int, ...]:
        """So many of them, where they are whole."""
        size = {**WHOLE, _LONG8: 8}.get(self.kind, 0)
        of = range(0, min(len(self.value), most * size), size or 1)
        return tuple(int.from_bytes(self.value[at : at + size], order) for at in of) if size else ()


class _Pixels(NamedTuple):
    """What the tags say of them; what they leave out is as TIFF 6.0 has it."""

    bits: tuple[int, ...]
    number: int
    photometric: int
    compression: int
    samples: int
    planar: int
    subsampling: tuple[int, ...]

    @classmethod
    def of(cls, tags: dict[int, _Tag], order: Order) -> "_Pixels":
        def numbers(tag: int, *default: int) -> tuple[int, ...]:
            return (tags[tag].numbers(order) if tag in tags else ()) or default

        bits, subsampling = numbers(BITS, 1), numbers(SUBSAMPLING, 2, 2)
        ones = (
            (FORMAT, _UNSIGNED),
            (PHOTOMETRIC, _WHITE_IS_0),
            (COMPRESSION, _PLAIN),
            (SAMPLES, 1),
            (PLANAR, 1),
        )
        number, photometric, compression, samples, planar = (numbers(*one)[0] for one in ones)
        return cls(bits, number, photometric, compression, samples, planar, subsampling)

    @property
    def description(self) -> str:
        number = _SAMPLE_FORMATS.get(self.number, "unspecified")
        return (
            f"{self.samples} × {self.bits[0]} bits, {number}, compression {self.compression},"
            f" photometric interpretation {self.photometric}"
        )

    def misread(self, order: Order) -> str:
        """What of them Pillow 13 would misread in silence, or fail at and call damage; "" if nothing."""
        if self.compression == _PLAIN:
            if self.photometric == _YCBCR and self.samples == 3 and self.subsampling[:2] != (1, 1):
                return "YCbCr without compression, of which colours have fewer samples"
            apart = self.planar == _APART and self.samples > 1
            if apart and (max(self.bits) > 8 or self.photometric in _NO_PLANES):
                return f"planes without compression of {self.description}"
        elif order == "big" and (self.bits[0] > 16 or (self.bits[0] > 8 and self.number == _SIGNED)):
            return f"big-endian and compressed, {self.description}"
        return "WebP within it" if self.compression == _WEBP else ""

    def end(self, tags: dict[int, _Tag], order: Order) -> int:
        """Where the last of their strips ends; it may say that it is longer than its rows are."""
        starts, sizes = tags.get(STRIPS), tags.get(STRIP_SIZES)
        if starts is None or sizes is None or not {WIDTH, HEIGHT} <= tags.keys():
            return 0
        at, size = (tag.numbers(order, len(tag.value)) for tag in (starts, sizes))
        (width,), (height,) = (tags[tag].numbers(order, 1) or (0,) for tag in (WIDTH, HEIGHT))
        (rows,) = tags[ROWS].numbers(order, 1) or (height,) if ROWS in tags else (height,)
        row = -(-width * (self.bits[0] if self.planar == _APART else sum(self.bits)) // 8)
        strips = max(1, -(-height // max(1, rows)))
        ends = [
            start
            + (
                min(length, row * min(rows, height - i % strips * rows))
                if self.compression == _PLAIN
                else length
            )
            for i, (start, length) in enumerate(zip(at, size, strict=False))
        ]
        return max(ends, default=0)

    def renamed(self, tags: dict[int, _Tag], order: Order) -> dict[str, bool]:
        """Exchange tags for those of a kind that Pillow reads; what it is then to be told of the pixels."""
        info = {}
        if self.number == _UNSPECIFIED:
            del tags[FORMAT]
        if self.bits[0] == 32 and self.number in (_UNSIGNED, _UNSPECIFIED):
            tags[FORMAT] = _short(_SIGNED, order)
            info[UNSIGNED] = True
        if self.bits[0] in (16, 32) and self.samples == 1 and self.photometric == _WHITE_IS_0:
            tags[PHOTOMETRIC] = _short(_BLACK_IS_0, order)
            info[INVERTED] = True
        if self.samples == 2 and self.photometric == _BLACK_IS_0 and EXTRA not in tags:
            tags[EXTRA] = _short(0, order)
        return info


def _short(number: int, order: Order) -> _Tag:
    return _Tag(_SHORT, number.to_bytes(2, order))


def stripped(data: bytes) -> Stripped:
    """As classic TIFF, of the first picture alone, its orientation taken out.

    Raises UnsupportedMediaType where its pixels are of a kind that is not read, and InvalidImage.
    """
    order: Order = "little" if data.startswith(b"II") else "big"
    tags = dict(_tags(data, order))
    turn = next(iter(tags[ORIENTATION].numbers(order)), UPRIGHT) if ORIENTATION in tags else UPRIGHT
    pixels = _Pixels.of(tags, order)
    if misread := pixels.misread(order):
        raise not_read("TIFF", misread)
    if pixels.end(tags, order) > len(data):
        raise cut_short("TIFF")
    info = pixels.renamed(tags, order)
    kept = {tag: tags[tag] for tag in sorted(_KEPT & tags.keys())}
    whole = {WIDTH, HEIGHT} <= kept.keys() and kept.keys() & {STRIPS, TILES}
    return Stripped(
        _with_directory(data, kept, order),
        turn if turn in TURNS else UPRIGHT,
        info,
        pixels.description if whole else "",
    )


def _tags(data: bytes, order: Order) -> Iterator[tuple[int, _Tag]]:
    """Those of the first directory, with values that are all there, and in all no longer than the file."""
    big = 43 in data[2:4]
    counted, word, size = (8, 8, 20) if big else (2, 4, 12)
    first = int.from_bytes(data[8:16] if big else data[4:8], order)
    entries = min(int.from_bytes(data[first : first + counted], order), 0xFFFF)
    left = len(data)
    for at in range(first + counted, min(first + counted + entries * size, len(data) - size + 1), size):
        tag, kind = (int.from_bytes(data[i : i + 2], order) for i in (at, at + 2))
        length = int.from_bytes(data[at + 4 : at + 4 + word], order) * _SIZES.get(kind, 0)
        if (tag not in _KEPT and tag != ORIENTATION) or not length:
            continue
        start = at + 4 + word
        if length > word:
            start = int.from_bytes(data[start : start + word], order)
        left -= length
        if left < 0 or start + length > len(data):
            raise cut_short("TIFF")
        yield tag, _Tag(kind, data[start : start + length])


def _with_directory(data: bytes, tags: dict[int, _Tag], order: Order) -> bytes:
    """The file with these tags as its only directory. Offsets within it stay as they are."""
    directory_at = len(data) + len(data) % 2
    values_at = directory_at + 2 + 12 * len(tags) + 4
    entries, values = [], []
    for tag, (kind, value) in tags.items():
        if kind == _LONG8:
            kind, value = _LONG, _narrowed(value, order)
        value_or_offset = value.ljust(4, b"\0")
        if len(value) > 4:
            value_or_offset = values_at.to_bytes(4, order)
            values.append(value + bytes(len(value) % 2))
            values_at += len(values[-1])
        count = len(value) // _SIZES[kind]
        entries.append(
            tag.to_bytes(2, order) + kind.to_bytes(2, order) + count.to_bytes(4, order) + value_or_offset
        )
    head = data[:2] + (42).to_bytes(2, order) + directory_at.to_bytes(4, order)
    count_of_all = len(tags).to_bytes(2, order)
    padding = bytes(len(data) % 2)
    return b"".join([head, data[len(head) :], padding, count_of_all, *entries, bytes(4), *values])


def _narrowed(value: bytes, order: Order) -> bytes:
    """Numbers of 8 bytes in 4, which hold every offset within an upload."""
    sign = ">" if order == "big" else "<"
    words = np.minimum(np.frombuffer(value, f"{sign}u8"), 0xFFFFFFFF)
    narrowed: bytes = words.astype(f"{sign}u4").tobytes()
    return narrowed
