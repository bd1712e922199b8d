"""JPEG: every kind of frame and colour, and whatever stands before them that no viewer minds."""

import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.errors import InvalidImage, UnsupportedMediaType
from service.pictures.formats.jpeg import stripped
from service.pictures.formats.stripping import MAX_PIECES, orientation_of
from tests.conftest import Digits, png
from tests.pictures.digits.drawings import cover, paper
from tests.pictures.formats.picture_files import assert_same, read, with_segment

EXIF, APP0, APP1, APP2, APP13, APP14, COMMENT = b"Exif\0\0", 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE


def jpeg(sheet: Image.Image, mode: str = "L", **options: object) -> bytes:
    return png(sheet.convert("RGB").convert(mode), "JPEG", **{"quality": 95, **options})


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("restart", [0, 5])
def test_every_colour_and_order(sheet: Image.Image, mode: str, progressive: bool, restart: int) -> None:
    data = jpeg(sheet, mode, progressive=progressive, restart_marker_blocks=restart)
    assert_same(data, read(png(sheet)), within=2)


def without(data: bytes, marker: int) -> bytes:
    at = data.index(bytes((0xFF, marker)))
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4]) :]


def test_colours_without_the_segment_that_names_them(sheet: Image.Image) -> None:
    """Of four components without Adobe's, viewers take the usual: inverted, as Adobe writes them."""
    assert_same(without(jpeg(sheet, "CMYK"), APP14), read(png(sheet)), within=2)
    assert_same(without(jpeg(sheet, "RGB"), APP0), read(png(sheet)), within=2)


def test_colours_kept_as_red_green_and_blue(sheet: Image.Image) -> None:
    data = jpeg(sheet, "RGB", keep_rgb=True)
    assert b"Adobe" in data
    assert_same(data, read(png(sheet)), within=2)


def tiff_ifd(*entries: tuple[int, int, int, bytes]) -> bytes:
    """Big-endian: tag, type, count, value of 4 bytes."""
    packed = b"".join(struct.pack(">HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + packed + bytes(4)


SIX = (0x0112, 3, 1, b"\0\6\0\0")


@pytest.mark.parametrize(
    ("block", "orientation"),
    [
        (tiff_ifd(SIX), 6),
        (tiff_ifd((0x011A, 2, 3, b"72\0\0"), SIX), 6),
        (tiff_ifd((0x011A, 12, 1, b"\0\0\1\0"), SIX), 6),
        (tiff_ifd((0x011A, 5, 1, b"\xff\xff\xff\xff"), SIX), 6),
        (tiff_ifd((0x010F, 2, 4000, b"\0\0\0\x40"), SIX), 6),
        (tiff_ifd((0x8769, 4, 1, b"\0\xff\xff\xff"), SIX), 6),
        (tiff_ifd((0x8825, 2, 4, b"oops"), SIX), 6),
        (tiff_ifd((0x9999, 77, 1, b"oops"), SIX), 6),
        (tiff_ifd((0x0112, 4, 1, b"\0\0\0\6")), 6),
        (tiff_ifd((0x0112, 2, 2, b"6\0\0\0")), 1),
        (tiff_ifd((0x0112, 3, 1, b"\0\0\0\0")), 1),
        (tiff_ifd((0x0112, 3, 1, b"\0\x09\0\0")), 1),
        (tiff_ifd((0x0112, 5, 1, b"\0\0\0\0")), 1),
        (tiff_ifd((0x0112, 7, 1, b"\6\0\0\0")), 1),
        (tiff_ifd((0x0112, 11, 1, struct.pack(">f", 6))), 1),
        (tiff_ifd((0x0112, 3, 0, bytes(4))), 1),
        (tiff_ifd(SIX)[:9], 1),
        (b"MM\0*", 1),
        (b"", 1),
        (b"II*\0" + b"\xff" * 30, 1),
        (b"no block at all", 1),
    ],
)
def test_an_orientation_is_a_whole_number(digits: Digits, block: bytes, orientation: int) -> None:
    """Whatever is beside it; and as nothing else it is known, as in browsers."""
    assert orientation_of(block) == orientation_of(EXIF + block) == orientation
    sheet = paper(cover(digits.images_u8[3]), 255, 0).crop((0, 0, 256, 280))
    stored = sheet.rotate(90, expand=True) if orientation == 6 else sheet
    assert_same(with_segment(jpeg(stored), APP1, EXIF + block), read(png(sheet)), within=2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_undone(digits: Digits, orientation: int) -> None:
    sheet = paper(cover(digits.images_u8[3]), 255, 0).crop((0, 0, 256, 280))
    plain = np.asarray(sheet)
    stored: NDArray[np.uint8] = {
        1: plain,
        2: plain[:, ::-1],
        3: plain[::-1, ::-1],
        4: plain[::-1],
        5: plain.T,
        6: plain.T[::-1],
        7: plain.T[::-1, ::-1],
        8: plain.T[:, ::-1],
    }[orientation]
    block = tiff_ifd((0x0112, 3, 1, bytes((0, orientation, 0, 0))))
    data = jpeg(Image.fromarray(np.ascontiguousarray(stored)))
    assert_same(with_segment(data, APP1, EXIF + block), read(png(sheet)), within=2)


@pytest.mark.parametrize(
    ("marker", "body"),
    [
        (APP0, b"JFIF\0"),
        (APP0, b"JFXX\0\x10"),
        (APP1, EXIF),
        (APP1, b"http://ns.adobe.com/xap/1.0/\0<x"),
        (APP2, b"ICC_PROFILE\0"),
        (APP2, b"ICC_PROFILE\0\1\2" + bytes(60_000)),
        (APP2, b"MPF\0" + bytes(20)),
        (APP2, b"MPF\0MM\0*\0\0\0\x08\xff\xff"),
        (APP2, b"FPXR\0"),
        (APP13, b"Photoshop 3.0\0"),
        (APP13, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\x10" + bytes(3)),
        (APP14, b"Adob"),
        (COMMENT, bytes(65_533)),
        (0xEF, b""),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else hex(value),
)
def test_what_is_beside_the_pixels_spoils_nothing(sheet: Image.Image, marker: int, body: bytes) -> None:
    whole = jpeg(sheet, "RGB")
    assert_same(with_segment(whole, marker, body), read(whole))
    assert len(stripped(with_segment(whole, marker, body)).data) <= len(whole) + len(b"JFIF\0") + 4


@pytest.mark.parametrize("between", [b"\0\0\0", b"\xff" * 9, b"no marker", b"\xff\0", b"\xff\xd0"])
def test_bytes_between_segments_are_passed_over(sheet: Image.Image, between: bytes) -> None:
    whole = jpeg(sheet, "RGB")
    at = whole.index(b"\xff\xdb")
    assert_same(whole[:at] + between + whole[at:], read(whole))


def test_what_follows_the_end_is_not_looked_at(sheet: Image.Image) -> None:
    whole = jpeg(sheet)
    other = jpeg(Image.new("L", sheet.size, 128))
    assert_same(whole + other, read(whole))
    assert_same(whole + b"\0" * 5000, read(whole))
    assert_same(png(sheet, "MPO", save_all=True, append_images=[sheet]), read(png(sheet)), within=3)


def test_the_pieces_are_counted(sheet: Image.Image) -> None:
    whole = jpeg(sheet)
    with pytest.raises(InvalidImage, match="pieces"):
        read(whole[:2] + b"\xff\xfe\0\2" * MAX_PIECES + whole[2:])
    with pytest.raises(InvalidImage, match="pieces"):
        read(whole[:2] + b"\xff\0" * MAX_PIECES + whole[2:])


def with_frame(data: bytes, marker: int | None = None, bits: int = 8, height: int | None = None) -> bytes:
    at = data.index(b"\xff\xc0")
    head = bytearray(data[at : at + 10])
    head[1] = marker or 0xC0
    head[4] = bits
    if height is not None:
        head[5:7] = height.to_bytes(2)
    return data[:at] + bytes(head) + data[at + 10 :]


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ({"bits": 12, "marker": 0xC1}, "12 bits"),
        ({"marker": 0xC3}, "without loss"),
        ({"marker": 0xC5}, "hierarchical"),
        ({"marker": 0xCB}, "without loss"),
        ({"height": 0}, "DNL"),
    ],
)
def test_frames_that_are_not_decoded_are_refused_by_name(
    sheet: Image.Image, frame: dict[str, int], kind: str
) -> None:
    with pytest.raises(UnsupportedMediaType, match=kind):
        read(with_frame(jpeg(sheet), **frame))
