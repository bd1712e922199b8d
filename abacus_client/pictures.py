"""Pictures in any form that Python programs have them → the bytes of a file.

Neither NumPy, Pillow nor PyTorch is imported: their objects say what they are by what they can do.
"""

import os
import struct
import zlib
from io import BytesIO
from typing import Any, BinaryIO, Protocol

from abacus_client.errors import InputError

# What PNG has a form for; of the rest TIFF has most.
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_TIFF_MODES = frozenset({"CMYK", "F", "I", "LAB", "YCbCr"})
# Channels → the colour type of PNG.
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}


class PillowImage(Protocol):
    @property
    def mode(self) -> str: ...
    def save(self, fp: BinaryIO, format: str | None = None) -> None: ...
    def convert(self, mode: str) -> "PillowImage": ...


class Array(Protocol):
    """NumPy's, or a tensor of PyTorch."""

    def __array__(self) -> Any: ...


Picture = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | PillowImage | Array


def is_picture(value: Any) -> bool:
    """Whether it is one picture, and not several."""
    return isinstance(value, str | os.PathLike | bytes | bytearray | memoryview) or any(
        hasattr(value, attribute) for attribute in ("read", "save", "__array__")
    )


def file_of(picture: Any) -> bytes:
    """Of a path, bytes, an open file, a Pillow image, or an array or tensor of uint8 or bool.

    Arrays are [height, width], [height, width, channels] or [channels, height, width] of 1, 3 or 4
    channels: grey, or red, green and blue, with what is opaque. Raises InputError.
    """
    try:
        return _file_of(picture)
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError) as error:  # of a path with NUL, a closed file, Pillow
        raise InputError(f"This picture cannot be read: {error}") from error


def _file_of(picture: Any) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | os.PathLike):
        with open(picture, "rb") as file:
            return file.read()
    if hasattr(picture, "read"):
        return _read(picture)
    if hasattr(picture, "save") and hasattr(picture, "mode"):
        return _saved(picture)
    return _of_array(array_of(picture))


def array_of(value: Any) -> memoryview:
    """Of an array, or a tensor on any device. Raises InputError."""
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            # NumPy has no bfloat16.
            value = (value.float() if value.is_floating_point() else value).numpy()
        return memoryview(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"This is neither a picture nor an array: {type(value).__name__}.") from error


def _read(file: Any) -> bytes:
    content = file.read()
    if not isinstance(content, bytes):
        raise InputError("The file is open as text: open it with 'rb'.")
    return content


def _saved(image: PillowImage) -> bytes:
    file = BytesIO()
    if image.mode == "La":
        image = image.convert("LA")  # all that Pillow makes of it
    if image.mode not in _PNG_MODES | _TIFF_MODES:
        image = image.convert("RGBA" if "a" in image.mode.lower() else "RGB")
    image.save(file, "PNG" if image.mode in _PNG_MODES else "TIFF")
    return file.getvalue()


def _of_array(array: memoryview) -> bytes:
    if array.ndim == 1 and array.format in ("B", "b", "c"):
        return array.tobytes()  # a bytearray, or a file in memory
    if array.format not in ("B", "?"):
        raise InputError("An array of pixels is of uint8, 0 to 255, or of bool: make it one of these.")
    levels = array.tobytes()
    if array.format == "?":
        levels = levels.replace(b"\x01", b"\xff")
    if not array.nbytes:
        raise InputError("The array is empty.")
    shape = array.shape or ()
    if len(shape) == 2:
        height, width = shape
        return _png(levels, height, width, 1)
    if len(shape) == 3 and shape[2] in _COLOUR_TYPES:
        height, width, channels = shape
        return _png(levels, height, width, channels)
    if len(shape) == 3 and shape[0] in _COLOUR_TYPES:
        channels, height, width = shape
        return _png(_interleaved(levels, channels), height, width, channels)
    raise InputError(f"An array of shape {list(shape)} is not one picture; send list(array) for several.")


def _interleaved(planes: bytes, channels: int) -> bytes:
    size = len(planes) // channels
    levels = bytearray(len(planes))
    for channel in range(channels):
        levels[channel::channels] = planes[channel * size : (channel + 1) * size]
    return bytes(levels)


def _png(levels: bytes, height: int, width: int, channels: int) -> bytes:
    """Of 8 bits a channel, uncompressed but for zlib's quickest (PNG, third edition, W3C 2025)."""
    stride = width * channels
    rows = b"".join(b"\0" + levels[at : at + stride] for at in range(0, len(levels), stride))
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
