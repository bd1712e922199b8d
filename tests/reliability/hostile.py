"""Uploads that mean harm, or that no one meant: each a name and the bytes of a file or of a body."""

import random
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.conftest import png
from tests.pictures.formats.picture_files import chunk

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")


def png_bomb(width: int, height: int, megabytes: int = 20) -> bytes:
    """A few kilobytes that inflate to so many megabytes, under a header of any size."""
    squeezed = zlib.compressobj(9)
    pixels = b"".join(squeezed.compress(bytes(1 << 20)) for _ in range(megabytes)) + squeezed.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif_bomb(width: int, height: int) -> bytes:
    small = bytearray(png(Image.new("L", (8, 8), 3), "GIF"))
    small[6:10] = struct.pack("<HH", width, height)
    at = small.index(b",", 13)
    small[at + 5 : at + 9] = struct.pack("<HH", width, height)
    return bytes(small)


def tiff_bomb(width: int, height: int) -> bytes:
    """Tags of a huge strip over a few bytes."""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, width * height % (1 << 32))]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"


def webp_bomb() -> bytes:
    """A header of 16383×16383 before few bytes of lossy data."""
    data = bytearray(png(Image.new("RGB", (16, 16)), "WEBP"))
    at = data.index(b"\x9d\x01\x2a")
    data[at + 3 : at + 7] = struct.pack("<HH", 0x3FFF, 0x3FFF)
    return bytes(data)


def pictures() -> Iterator[tuple[str, bytes]]:
    """Files, to be sent as uploads. Some are pictures after all; none may do harm."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    whole = {
        image_format: png(Image.fromarray(noise).convert("RGB"), image_format) for image_format in FORMATS
    }
    for side in (30_000, 65_535, 1 << 20, (1 << 31) - 1):
        yield f"PNG bomb of {side}", png_bomb(side, side, 5)
    yield "PNG bomb under an honest size", png_bomb(28, 28, 50)
    yield "PNG of one row", png_bomb(25_000_000, 1, 25)
    yield "GIF bomb", gif_bomb(65_535, 65_535)
    for side in (60_000, 1 << 30):
        yield f"TIFF bomb of {side}", tiff_bomb(side, side)
    yield "WebP bomb", webp_bomb()
    for image_format, data in whole.items():
        for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
            yield f"{image_format} cut at {share:.0%}", data[: int(len(data) * share)]
        for other in FORMATS:
            if other != image_format:
                yield f"{image_format} behind the head of {other}", whole[other][:12] + data[12:]
        noisy = random.Random(image_format)
        for number in range(12):
            spoilt = bytearray(data)
            for _ in range(1 + number * 3):
                spoilt[noisy.randrange(len(spoilt))] = noisy.randrange(256)
            yield f"{image_format} with {1 + number * 3} bytes spoilt", bytes(spoilt)
        yield f"{image_format} with a tail", data + bytes(100_000)
        yield f"{image_format} twice", data + data
    for megabytes in (1, 8):
        info = PngInfo()
        info.add_text("Comment", "x" * (megabytes << 20), zip=True)
        yield f"PNG with {megabytes} MB of text", png(Image.fromarray(noise), pnginfo=info)
    exif = Image.Exif()
    for orientation in (0, 9, 65_535):
        exif[0x0112] = orientation
        yield f"JPEG turned {orientation}", png(Image.fromarray(noise), "JPEG", exif=exif)
    for size in ((1, 1), (1, 5000), (5000, 1), (2, 2)):
        yield f"PNG of {size}", png(Image.new("L", size, 128))
    frames = [Image.fromarray(np.roll(noise, i)) for i in range(200)]
    buffer = BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    yield "GIF of 200 frames", buffer.getvalue()
    for name, data in {
        "nothing": b"",
        "one byte": b"\x89",
        "text": b"GIF is a nice format",
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run",
        "PDF": b"%PDF-1.7",
        "zip": b"PK\x03\x04" + bytes(100),
        "pickle": b"\x80\x04cos\nsystem\n(S'id'\ntR.",
        "ICO": b"\0\0\1\0\1\0" + bytes(100),
        "PSD": b"8BPS\0\1" + bytes(100),
        "gzip": b"\x1f\x8b\x08" + bytes(100),
    }.items():
        yield name, data


JSON = "application/json"
BOUNDARY = "multipart/form-data; boundary=b"


def part(disposition: bytes, data: bytes = b"x") -> bytes:
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + data + b"\r\n"


def bodies() -> Iterator[tuple[str, str, str, bytes]]:
    """Name, path, content type and body."""
    for text in (
        '{"hours": NaN}', '{"hours": Infinity}', '{"hours": 1e999}', '{"hours": -0.1}', '{"hours": "4"}',
        '{"hours": []}', '{"hours": [[1]]}', '{"hours": null}', '{"hours": {"a": 1}}', '{"hours": true}',
        '{"Hours": 1}', '{"hours": 1, "x": 1}', '{"hours": 1e400}', '{"hours": 3.5e38}', "[]", "null", "",
        "{", '{"hours": 1', '"hours"', "4", "\ufeff{}", '{"hours": 1}{"hours": 2}', '{"hours": 0x10}',
        '{"hours": 1,}', "{'hours': 1}", '{"hours": [1, null]}', '{"hours": ["1"]}',
    ):  # fmt: skip
        yield f"JSON {text[:20]}", "/predict/pass", JSON, text.encode()
    yield "deep lists", "/predict/pass", JSON, b'{"hours": ' + 100_000 * b"[" + 100_000 * b"]" + b"}"
    yield "deep objects", "/predict/pass", JSON, 50_000 * b'{"hours":' + b"1" + 50_000 * b"}"
    yield "too many hours", "/predict/pass", JSON, b'{"hours": [' + 200_000 * b"1," + b"1]}"
    yield "long number", "/predict/pass", JSON, b'{"hours": ' + 1_000_000 * b"9" + b"}"
    yield "long key", "/predict/pass", JSON, b'{"' + 1_000_000 * b"k" + b'": 1}'
    yield "not UTF-8", "/predict/pass", JSON, b'{"hours": "\xff\xfe"}'
    yield "zeros", "/predict/pass", JSON, bytes(100_000)
    yield "another type", "/predict/pass", "text/plain", b'{"hours": 1}'
    yield "form for JSON", "/predict/pass", "application/x-www-form-urlencoded", b"hours=1"
    file = b'form-data; name="file"; filename="a.png"'
    end = b"--b--\r\n"
    yield "10,000 parts", "/predict/digit", BOUNDARY, part(file) * 10_000 + end
    yield "65 files", "/predict/digit", BOUNDARY, part(file) * 65 + end
    yield "another field", "/predict/digit", BOUNDARY, part(b'form-data; name="image"') + end
    yield "no name", "/predict/digit", BOUNDARY, part(b"form-data") + end
    yield "no disposition", "/predict/digit", BOUNDARY, b"--b\r\nX: y\r\n\r\nx\r\n" + end
    yield "no end", "/predict/digit", BOUNDARY, part(file)
    yield "no parts", "/predict/digit", BOUNDARY, end
    yield "no boundary", "/predict/digit", "multipart/form-data", part(file) + end
    yield "long boundary", "/predict/digit", "multipart/form-data; boundary=" + 5_000 * "b", b""
    yield "long header", "/predict/digit", BOUNDARY, part(file + b"; x=" + 100_000 * b"y") + end
    yield "many headers", "/predict/digit", BOUNDARY, b"--b\r\n" + 10_000 * b"A: b\r\n" + b"\r\nx\r\n" + end
    yield "binary name", "/predict/digit", BOUNDARY, part(b'form-data; name="\xff\x00"') + end
    yield (
        "path as file name",
        "/predict/digit",
        BOUNDARY,
        part(file.replace(b"a.png", b"../../etc/x")) + end,
    )
    yield "gzip body", "/predict/digit", "image/png", b"\x1f\x8b\x08\0\0\0\0\0" + bytes(50)
    yield "unknown type", "/predict/digit", "application/octet-stream", b"x"
    yield "no type", "/predict/digit", "", b"x"
