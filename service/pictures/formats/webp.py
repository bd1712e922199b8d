"""WebP (RFC 9649): its chunks, framed anew, so that a wrong length or a missing last byte is no harm.

And large files at a smaller size, by libwebp itself: Pillow would hold them three times at their own. The
library is the one that Pillow's module is linked with (https://developers.google.com/speed/webp/docs/api).
"""

import ctypes
from ctypes import POINTER, byref, c_int, c_size_t, c_uint32, c_void_p
from functools import cache
from importlib import import_module

from PIL import Image

from service.pictures.formats.stripping import MAX_PIECES, Stripped, cut_short, too_many_pieces

_HEAD = 12  # bytes: RIFF, the length of what follows, WEBP
_PIXELS = (b"VP8 ", b"VP8L", b"ANMF")
_FILLED = 1  # byte that may be missing of the last chunk: most encoders fill them up to an even length

_VERSION = 0x0209  # of the structures below; what has the same first byte is compatible
_OK, _RGB, _RGBA = 0, 0, 1


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


class _Features(ctypes.Structure):
    _fields_ = (
        ("width", c_int),
        ("height", c_int),
        ("has_alpha", c_int),
        ("has_animation", c_int),
        ("format", c_int),
        ("_pad", c_uint32 * 5),
    )


class _Planes(ctypes.Structure):
    """The larger half of a union, of which RGBA is used: pixels, bytes a row, and bytes in all."""

    _fields_ = (
        ("pixels", c_void_p),
        ("stride", c_int),
        ("size", c_size_t),
        ("_rest", ctypes.c_uint8 * 56),
    )


class _Output(ctypes.Structure):
    _fields_ = (
        ("colour_space", c_int),
        ("width", c_int),
        ("height", c_int),
        ("is_external", c_int),
        ("planes", _Planes),
        ("_pad", c_uint32 * 4),
        ("_private", c_void_p),
    )


class _Options(ctypes.Structure):
    _fields_ = (
        ("_before", c_int * 7),  # filters and cropping
        ("is_scaled", c_int),
        ("width", c_int),
        ("height", c_int),
        ("_behind", c_int * 4),  # threads, dithering, flipping
        ("_pad", c_uint32 * 5),
    )


class _Config(ctypes.Structure):
    _fields_ = (("input", _Features), ("output", _Output), ("options", _Options))


@cache
def _library() -> ctypes.CDLL | None:
    """None where Pillow's module does not let its library be seen, or it is of another kind."""
    try:
        library = ctypes.CDLL(import_module("PIL._webp").__file__)
        library.WebPInitDecoderConfigInternal.argtypes = (POINTER(_Config), c_int)
        library.WebPGetFeaturesInternal.argtypes = (c_void_p, c_size_t, POINTER(_Features), c_int)
        library.WebPDecode.argtypes = (c_void_p, c_size_t, POINTER(_Config))
    except (ImportError, OSError, AttributeError):
        return None
    return library if library.WebPInitDecoderConfigInternal(byref(_Config()), _VERSION) else None


def has_alpha(data: bytes) -> bool | None:
    """Of a still picture that can be read here, else None."""
    library, features = _library(), _Features()
    if (
        library is None
        or library.WebPGetFeaturesInternal(data, len(data), byref(features), _VERSION) != _OK
    ):
        return None
    return None if features.has_animation else bool(features.has_alpha)


def read_scaled(data: bytes, size: tuple[int, int]) -> Image.Image:
    """A still picture, RGB or RGBA, at this size. Raises OSError."""
    mode = "RGBA" if has_alpha(data) else "RGB"
    library, config = _library(), _Config()
    if library is None or not library.WebPInitDecoderConfigInternal(byref(config), _VERSION):
        raise OSError("libwebp is not there")
    row = size[0] * len(mode)
    pixels = bytearray(size[1] * row)
    config.options.is_scaled, config.options.width, config.options.height = 1, *size
    config.output.colour_space, config.output.is_external = (_RGBA if mode == "RGBA" else _RGB), 1
    config.output.planes.pixels = ctypes.addressof((ctypes.c_uint8 * len(pixels)).from_buffer(pixels))
    config.output.planes.stride, config.output.planes.size = row, len(pixels)
    if library.WebPDecode(data, len(data), byref(config)) != _OK:
        raise OSError("the WebP file is damaged")
    return Image.frombytes(mode, size, pixels)
