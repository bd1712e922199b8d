"""What kind of file an upload is: what is read, and what is refused by its name."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, features

from service.errors import InvalidImage, UnsupportedMediaType
from service.pictures.formats.recognition import FORMATS, recognise, sniff
from service.pictures.images import find_digit, open_picture
from tests.conftest import Digits, png
from tests.pictures.digits.drawings import cover, paper

PICTURE = Image.new("L", (8, 8))


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_read_is_recognised(name: str) -> None:
    assert recognise(png(PICTURE.convert("RGB"), name)) == name.upper()


@pytest.mark.parametrize("prefix", [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*"])
def test_every_head_of_a_tiff_is_one(prefix: bytes) -> None:
    assert sniff(prefix + bytes(20)) == "TIFF"


def box(kind: bytes, body: bytes) -> bytes:
    return (len(body) + 8).to_bytes(4) + kind + body


def brands(major: bytes, *others: bytes) -> bytes:
    return box(b"ftyp", major + bytes(4) + b"".join(others)) + box(b"mdat", b"avif heic")


@pytest.mark.parametrize(
    "name", ["SGI", "ICO", "PPM", "TGA", "JPEG2000", "PDF", "EPS", "DDS", "QOI", "PCX"]
)
def test_what_only_pillow_reads_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=r"PNG, JPEG|Send JPEG"):
        recognise(png(Image.new("RGB", (16, 16)), name))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (brands(b"heic", b"mif1", b"heic"), "HEIC is not read. Send JPEG"),
        (brands(b"mif1", b"heix"), "HEIC is not read. Send JPEG"),
        (brands(b"mif1", b"miaf"), "HEIF of this kind is not read. Send JPEG"),
        (brands(b"isom", b"mp41"), "video"),
        (b"\xff\x0a" + bytes(30), "JPEG XL, which is not read. Send JPEG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(30), "JPEG XL, which is not read. Send JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf\n<?xml version='1.0'?><!-- 7 --><svg/>", "SVG"),
        (b"<!DOCTYPE html><title>404</title>", "HTML"),
        (b'<?xml version="1.0"?><error/>', "XML"),
        (b'{"file": "7.png"}', "JSON"),
        ("sieben, größer als sechs".encode(), "text"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS\0\1", "Photoshop"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"P5 2 2 255 \0\1\2\3", "PNM"),
        (b"SIMPLE  =                    T", "FITS"),
        (b"\x93NUMPY\1\0", "NumPy"),
        (b"PK\x03\x04", "ZIP"),
        (b"data:image/png;base64,iVBORw0KGgo=", "data URL"),
        (base64.b64encode(png(PICTURE)), "PNG in Base64"),
        (base64.b64encode(png(PICTURE, "JPEG")), "JPEG in Base64"),
        (png(PICTURE).replace(b"\r\n", b"\n"), "sent as binary"),
        (bytes(100), "Not a picture in a format that is read. Send PNG, JPEG"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Not a picture"),
        (b"\x89", "Not a picture"),
    ],
)
def test_what_is_not_read_is_refused_by_its_name(data: bytes, message: str) -> None:
    assert sniff(data) is None
    with pytest.raises(UnsupportedMediaType, match=message):
        recognise(data)


def test_nothing_is_empty() -> None:
    with pytest.raises(InvalidImage, match="no bytes"):
        recognise(b"")


def test_a_pillow_without_avif_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    data = png(PICTURE, "AVIF")
    monkeypatch.setattr(features, "check", lambda _: False)
    with pytest.raises(UnsupportedMediaType, match="AVIF"):
        recognise(data)


@pytest.mark.parametrize("major", [b"avif", b"mif1", b"miaf"])
@pytest.mark.parametrize("lossless", [True, False])
def test_avif_is_read_whatever_it_names_first(digits: Digits, major: bytes, lossless: bool) -> None:
    sheet = paper(cover(digits.images_u8[3]), 255, 0)
    data = png(sheet, "AVIF", quality=100 if lossless else 60, subsampling="4:4:4")
    data = data[:8] + major + data[12:]
    read, plain = (open_picture(file, 10**6) for file in (data, png(sheet)))
    off = find_digit(read).digit.image_u8() - find_digit(plain).digit.image_u8().astype(int)
    assert np.abs(off).mean() < 3


def test_a_turned_avif_is_upright(digits: Digits) -> None:
    sheet = paper(cover(digits.images_u8[3]), 255, 0).crop((0, 0, 260, 280))
    exif = Image.Exif()
    exif[0x0112] = 6
    read = open_picture(png(sheet.rotate(90, expand=True), "AVIF", exif=exif), 10**6)
    plain = open_picture(png(sheet), 10**6)
    found = find_digit(read)
    assert found.size == (260, 280)
    assert np.abs(found.digit.image_u8() - find_digit(plain).digit.image_u8().astype(int)).mean() < 3


def test_bytesio_is_not_what_is_looked_at() -> None:
    """Every format of Pillow's own list that is read here opens by the name that it is given here."""
    for name in FORMATS:
        data = png(PICTURE.convert("RGB"), name)
        assert Image.open(BytesIO(data), formats=[recognise(data)]).size == (8, 8)
