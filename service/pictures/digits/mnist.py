"""The one kind of file as which most clients send a digit of MNIST, decoded without Pillow's general way.

It makes nothing else quicker: what is of any other kind, or not as MNIST's digits are, is left to `images`.
"""

import struct
import threading
import zlib
from collections.abc import Sequence

from PIL import Image

from service.pictures.digits.mnist_form import SIDE, Decoded, in_mnist_form

# The head of the file as which most clients send a digit of MNIST: PNG, 28×28, 8-bit grey, not interlaced
# (PNG, third edition, section 11.2.1). Behind its checksum comes a chunk of pixels, and then the end.
_DIGIT_PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", SIDE, SIDE, 8, 0, 0, 0, 0)
_CHUNK_AT = len(_DIGIT_PNG) + 4
_END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
_NOTHING: Decoded = (bytes(SIDE * SIDE), None)


def digits_of_mnist(files: Sequence[bytes]) -> list[bytes]:
    """The pixels of those that come as MNIST's digits do and have their form, else b"".

    Takes a quarter of the time of the general way, which reads the others, or says no.
    """
    pictures = [_digit_of_mnist(data) for data in files]
    in_form = in_mnist_form(pictures)
    return [pixels if as_it_is else b"" for (pixels, _), as_it_is in zip(pictures, in_form, strict=True)]


class _Canvas(threading.local):
    """A picture of MNIST's size and the bytes behind it, to decode into: half the time of a new one."""

    def __init__(self) -> None:
        self._pixels = bytearray(SIDE * SIDE)
        self._image = Image.frombuffer("L", (SIDE, SIDE), self._pixels, "raw", "L", 0, 1).im

    def inflate(self, scanlines: bytes) -> Decoded:
        """Decode zlib's scanlines. _NOTHING when they are damaged or not all there.

        It is what `Image.frombytes` does, without its general way there, which takes as long as decoding.
        """
        decoder = Image.core.zip_decoder("L", "L", 0)  # type: ignore[attr-defined]
        decoder.setimage(self._image, (0, 0, SIDE, SIDE))
        consumed, error = decoder.decode(scanlines)
        if consumed >= 0 or error:
            return _NOTHING
        return bytes(self._pixels), self._image.getbbox()


_canvas = _Canvas()


def _digit_of_mnist(data: bytes) -> Decoded:
    """Decode one that comes as they do. _NOTHING for any other, of more chunks of pixels, or damaged."""
    if not data.startswith(_DIGIT_PNG):
        return _NOTHING
    length = int.from_bytes(data[_CHUNK_AT : _CHUNK_AT + 4])
    chunk, end = data[_CHUNK_AT + 4 : _CHUNK_AT + 8 + length], _CHUNK_AT + 8 + length
    if data[end + 4 :] != _END or not chunk.startswith(b"IDAT"):
        return _NOTHING
    if zlib.crc32(chunk) != int.from_bytes(data[end : end + 4]):
        return _NOTHING
    return _canvas.inflate(chunk[4:])
