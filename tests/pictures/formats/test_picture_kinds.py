"""The service over HTTP, asked with the same digit in every kind of file: the same answer to all."""

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.conftest import Digits, png
from tests.pictures.digits.drawings import cover, paper
from tests.pictures.formats.picture_files import (
    chunk,
    grey,
    png_of,
    tags_of,
    tiff_of,
    with_chunks,
    with_segment,
)

Sheet = Image.Image


def deep(sheet: Sheet, bits: int) -> Image.Image:
    return Image.fromarray((grey(sheet).astype(np.uint16) << (bits - 8)).astype(np.uint16))


def grey_tiff(sheet: Sheet, dtype: str, factor: float, order: str = "<", **tags: int) -> bytes:
    stored = (grey(sheet) * np.float64(factor)).astype(order + dtype)
    return tiff_of([stored.tobytes()], tags_of(sheet.size, [8 * stored.itemsize], 1, **tags), order)


def colour_key(sheet: Sheet) -> bytes:
    """The ground is of the one level that is not shown, and the ink of one other."""
    ground = int(grey(sheet)[0, 0])
    levels = np.where(grey(sheet) > 127, 255, 0)
    return png_of(levels, 8, 0, chunk(b"tRNS", ground.to_bytes(2)))


def without_alpha(sheet: Sheet) -> bytes:
    return png(Image.merge("LA", (sheet, Image.new("L", sheet.size, 0))))


KINDS: dict[str, Callable[[Sheet], bytes]] = {
    "16-bit PNG of 8 bits": lambda sheet: png(deep(sheet, 8)),
    "16-bit PNG of 10 bits": lambda sheet: png(deep(sheet, 10)),
    "16-bit PNG of 12 bits": lambda sheet: png(deep(sheet, 12)),
    "16-bit TIFF of 14 bits": lambda sheet: png(deep(sheet, 14), "TIFF"),
    "PNG with text of 2 MiB": lambda s: with_chunks(png(s), chunk(b"tEXt", b"Comment\0" + bytes(1 << 21))),
    "PNG with a wrong checksum": lambda s: with_chunks(
        png(s), chunk(b"tEXt", b"Comment\0x")[:-4] + b"oops"
    ),
    "PNG without its end": lambda sheet: png(sheet)[:-12],
    "PNG with a colour key": colour_key,
    "PNG with an alpha of nothing but 0": without_alpha,
    "JPEG without its last two bytes": lambda sheet: png(sheet, "JPEG", quality=95)[:-2],
    "JPEG, progressive, without its end": lambda s: png(s, "JPEG", quality=95, progressive=True)[:-2],
    "JPEG of CMYK": lambda sheet: png(sheet.convert("RGB").convert("CMYK"), "JPEG", quality=95),
    "JPEG with a broken note": lambda s: with_segment(
        png(s, "JPEG", quality=95), 0xE1, b"Exif\0\0MM\0*oops"
    ),
    "GIF without its trailer": lambda sheet: png(sheet, "GIF")[:-1],
    "TIFF of unsigned 32 bits": lambda sheet: grey_tiff(sheet, "u4", 16843009),
    "TIFF of signed 32 bits": lambda sheet: grey_tiff(sheet, "i4", 8421504, ">", t339=2),
    "TIFF of floats": lambda sheet: grey_tiff(sheet, "f4", 1 / 255, ">", t339=3),
    "BigTIFF": lambda s: tiff_of([grey(s).tobytes()], tags_of(s.size, [8], 1), ">", big=True),
    "TIFF in LZW": lambda sheet: png(sheet, "TIFF", compression="tiff_lzw"),
    "TIFF of L*a*b*": lambda sheet: png(sheet.convert("RGB").convert("LAB"), "TIFF"),
    "WebP": lambda sheet: png(sheet.convert("RGB"), "WEBP", lossless=True),
    "AVIF": lambda sheet: png(sheet, "AVIF", quality=90),
    "BMP": lambda sheet: png(sheet, "BMP"),
}


@pytest.fixture(params=[0, 255], ids=["dark ink", "light ink"])
def sheets(request: pytest.FixtureRequest, digits: Digits) -> list[Sheet]:
    return [
        paper(cover(digits.images_u8[at]), 255 - request.param, request.param)
        for at in (np.flatnonzero(digits.labels == label)[0] for label in (2, 4, 7))
    ]


def test_every_kind_of_file_is_answered_alike(committed_server: httpx.Client, sheets: list[Sheet]) -> None:
    for name, kind in KINDS.items():
        files = [("file", (name, file)) for sheet in sheets for file in (png(sheet), kind(sheet))]
        answer = committed_server.post("/predict/digit", files=files)
        assert answer.status_code == 200, f"{name}: {answer.text}"
        told: list[dict[str, Any]] = answer.json()["predictions"]
        for plain, other in zip(told[::2], told[1::2], strict=True):
            assert other["digit"] == plain["digit"], name
            assert abs(other["confidence"] - plain["confidence"]) < 0.05, name
        assert [plain["digit"] for plain in told[::2]] == [2, 4, 7]


def test_what_is_not_read_says_what_it_is(committed_server: httpx.Client) -> None:
    refused = {
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic": "HEIC",
        b"\xff\x0a\xff\x07": "JPEG XL",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>": "SVG",
        tiff_of([bytes(1600)], tags_of((20, 10), [64], 1, t339=3)): "64 bits, floating-point",
    }
    for data, name in refused.items():
        answer = committed_server.post(
            "/predict/digit", content=data, headers={"Content-Type": "image/png"}
        )
        assert answer.status_code == 415
        assert name in answer.json()["detail"]
        assert answer.json()["errors"][0]["field"] == "body"
