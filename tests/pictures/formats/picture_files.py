"""A digit in any kind of file, and what is read of it, for the tests of formats."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.pictures.images import find_digit, open_picture

MAX_PIXELS = 1_000_000


def read(data: bytes) -> NDArray[np.uint8]:
    """`u8 [28, 28]`, as the model sees it. Raises ServiceError."""
    picture = open_picture(data, MAX_PIXELS)
    return find_digit(picture).digit.image_u8()


def assert_same(data: bytes, plain: NDArray[np.uint8], within: float = 0.0) -> None:
    """`within`: grey levels, on average over the 784 pixels."""
    off = np.abs(read(data).astype(int) - plain).mean()
    assert off <= within, f"{off:.2f} levels apart"


def chunk(kind: bytes, body: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(pixels: NDArray[np.generic], depth: int, colour: int, *extra: bytes) -> bytes:
    """A PNG of rows as they are stored, at any depth: `pixels [H, W]` or `[H, W, channels]`."""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    rows = pixels.reshape(height, -1)
    if depth == 16:
        packed = rows.astype(">u2").view(np.uint8).reshape(height, -1)
    else:
        bits = np.unpackbits(rows.astype(np.uint8)[:, :, None], axis=2)[:, :, 8 - depth :]
        packed = np.packbits(bits.reshape(height, -1), axis=1)
    scanlines = b"".join(b"\0" + row.tobytes() for row in packed)
    signature = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return signature + b"".join(extra) + chunk(b"IDAT", zlib.compress(scanlines)) + chunk(b"IEND", b"")


def with_chunks(data: bytes, *chunks: bytes) -> bytes:
    """The PNG with more of them behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def with_segment(data: bytes, marker: int, body: bytes) -> bytes:
    """The JPEG with one more of them before all others."""
    return data[:2] + bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2) + body + data[2:]


def grey(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("L"))


_TIFF_TYPES = {3: "H", 4: "I", 16: "Q"}
Tags = dict[int, tuple[int, list[int]]]


def tiff_of(
    strips: list[bytes], tags: Tags, order: str = "<", big: bool = False, tiled: bool = False
) -> bytes:
    """A TIFF or BigTIFF of strips or tiles as they are stored. `order`: "<" or ">"."""
    body = b"".join(strip + bytes(len(strip) % 2) for strip in strips)
    base, word, kind = (16, "Q", 16) if big else (8, "I", 4)
    starts = [base + sum(len(s) + len(s) % 2 for s in strips[:i]) for i in range(len(strips))]
    places = {
        324 if tiled else 273: (kind, starts),
        325 if tiled else 279: (kind, [len(s) for s in strips]),
    }
    entries, values, at = [], b"", base + len(body)
    for tag, (of, numbers) in sorted({**tags, **places}.items()):
        value = struct.pack(f"{order}{len(numbers)}{_TIFF_TYPES[of]}", *numbers)
        if len(value) > struct.calcsize(word):
            value, values = (
                struct.pack(order + word, at + len(values)),
                values + value + bytes(-len(value) % 8),
            )
        entries.append(
            struct.pack(f"{order}HH{word}", tag, of, len(numbers))
            + value.ljust(struct.calcsize(word), b"\0")
        )
    directory = at + len(values)
    head = (
        struct.pack(order + "HHHQ", 43, 8, 0, directory)
        if big
        else struct.pack(order + "HI", 42, directory)
    )
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    name = b"II" if order == "<" else b"MM"
    return name + head + body + values + count + b"".join(entries) + bytes(base // 2)


def tags_of(size: tuple[int, int], bits: list[int], photometric: int, **others: int | list[int]) -> Tags:
    """Tags of a picture in one strip, without compression. `others`, as t284=2, come last."""
    tags: dict[int, int | list[int]] = {256: size[0], 257: size[1], 258: bits, 259: 1, 262: photometric}
    tags |= {277: len(bits), 278: size[1]}
    tags |= {int(tag[1:]): value for tag, value in others.items()}
    return {tag: (3, value if isinstance(value, list) else [value]) for tag, value in tags.items()}
