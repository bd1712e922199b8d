"""Pictures that ask for much: large ones of every kind, and small files that take long."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tests.conftest import png
from tests.pictures.formats.picture_files import chunk

SIDE = 5000  # 25 million pixels: as many as are accepted


def seven(side: int) -> Image.Image:
    """L: a thick 7 on white."""
    picture = Image.new("L", (side, side), 255)
    stroke = [(0.3 * side, 0.25 * side), (0.7 * side, 0.25 * side), (0.45 * side, 0.8 * side)]
    ImageDraw.Draw(picture).line(stroke, fill=0, width=side // 12)
    return picture


def large_pictures(every: bool) -> Iterator[tuple[str, bytes]]:
    """One of every kind that Pillow reads, or of those that took most before; each with a name."""
    grey = seven(SIDE)
    rgb, palette = grey.convert("RGB"), grey.quantize(4)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    yield "16-bit grey", _png(deep)
    yield "16-bit grey, one level transparent", _png(deep, transparency=7)
    yield "16-bit RGBA", _deep_png(grey, 4)
    yield "RGBA", _png(rgb.convert("RGBA"))
    yield "RGB, turned", _png(rgb, exif=turned)
    yield "palette with transparency", _png(palette, transparency=bytes([250, 255]))
    yield "TIFF of mode F", _tiff(grey.convert("F"))
    yield "TIFF of mode CMYK", _tiff(rgb.convert("CMYK"))
    yield "progressive JPEG", png(rgb, "JPEG", progressive=True, subsampling=0)
    yield "WebP", png(rgb, "WEBP", method=0)
    yield "AVIF", png(rgb.resize((4000, 4000)), "AVIF", speed=10)
    if not every:
        return
    yield "8-bit grey", _png(grey)
    yield "1 bit", _png(grey.convert("1"))
    yield "8-bit grey, one level transparent", _png(grey, transparency=7)
    yield "GIF of two frames", png(palette, "GIF", save_all=True, append_images=[palette.rotate(90)])
    yield "RGB", _png(rgb)
    yield "RGB, one colour transparent", _png(rgb, transparency=(7, 7, 7))
    yield "16-bit RGB", _deep_png(grey, 3)
    yield "16-bit grey with alpha", _deep_png(grey, 2)
    yield "grey with alpha", _png(rgb.convert("LA"))
    yield "TIFF of mode I", _tiff(grey.convert("I"))
    for mode in ("YCbCr", "LAB", "RGBA", "LA"):
        yield f"TIFF of mode {mode}", _tiff(rgb.convert(mode))
    yield "TIFF of JPEG strips", png(rgb, "TIFF", compression="jpeg")
    yield "JPEG, turned", png(rgb, "JPEG", exif=turned)
    yield "WebP without loss", png(rgb, "WEBP", method=0, quality=0, lossless=True)


def _png(picture: Image.Image, **options: Any) -> bytes:
    return png(picture, compress_level=1, **options)


def _tiff(picture: Image.Image) -> bytes:
    return png(picture, "TIFF", compression="tiff_lzw")


def _deep_png(grey: Image.Image, channels: int) -> bytes:
    """16 bits a sample, which Pillow does not write."""
    squeeze, colour_type = zlib.compressobj(1), {2: 4, 3: 2, 4: 6}[channels]
    rows = [
        squeeze.compress(b"\0" + np.repeat(row.astype(">u2") * 257, channels).tobytes())
        for row in np.asarray(grey)
    ]
    header = struct.pack(">IIBBBBB", *grey.size, 16, colour_type, 0, 0, 0)
    pixels = b"".join([*rows, squeeze.flush()])
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", pixels),
            chunk(b"IEND", b""),
        ]
    )


def in_small_pieces(image_format: str, size: int = 4_000_000) -> bytes:
    """A picture of so many bytes, nearly all of them metadata in small pieces: legal, and shown."""
    picture = seven(280)
    data = png(picture, image_format)
    if image_format == "PNG":
        return data[:33] + _filled(chunk(b"tEXt", b"a\0b"), size) + data[33:]
    if image_format == "JPEG":
        return data[:2] + _filled(b"\xff\xfe\0\4hi", size) + data[2:]
    assert image_format == "GIF"
    at = data.rindex(b"\x2c\0\0\0\0\x18\x01\x18\x01")
    return data[:at] + b"\x21\xfe" + _filled(b"\2hi", size) + b"\0" + data[at:]


def _filled(piece: bytes, size: int) -> bytes:
    return piece * (size // len(piece))


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan, of a few bytes, comes so many times more: legal but for that."""
    data = png(seven(side), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def slow_bitmap(side: int = 2800) -> bytes:
    """A BMP of 16 MB in runs of one pixel, which Pillow reads in Python: it takes 7 s."""
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256))
    runs = (b"\1\xff\1\0" * (side // 2) + b"\0\0") * side + b"\0\1"
    at = 14 + 40 + len(palette)
    head = struct.pack("<2sLHHL", b"BM", at + len(runs), 0, 0, at)
    header = struct.pack("<LllHHLLllLL", 40, side, side, 1, 8, 1, len(runs), 2835, 2835, 256, 0)
    return head + header + palette + runs
