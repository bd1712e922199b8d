"""A digit in any kind of file, and what is read of it, for the tests of formats."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.images import Upload, find_digit, open_pictures

MAX_PIXELS = 1_000_000


def read(data: bytes) -> NDArray[np.uint8]:
    """`u8 [28, 28]`, as the model sees it. Raises ServiceError."""
    (picture,) = open_pictures([Upload("file", data)], MAX_PIXELS)
    return find_digit(picture).prepared.image_u8()


def assert_same(data: bytes, plain: NDArray[np.uint8], within: float = 0.0) -> None:
    """`within`: grey levels, on average over the 784 pixels."""
    off = np.abs(read(data).astype(int) - plain).mean()
    assert off <= within, f"{off:.2f} levels apart"


def chunk(kind: bytes, body: bytes) -> bytes:
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
