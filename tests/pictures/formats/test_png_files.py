"""PNG: every kind of pixels, and whatever stands between them that keeps no viewer from showing it."""

import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.errors import InvalidImage, UnsupportedMediaType
from service.pictures.formats.png import stripped
from service.pictures.formats.stripping import MAX_PIECES
from tests.conftest import Digits, png
from tests.pictures.digits.drawings import cover, paper
from tests.pictures.formats.picture_files import assert_same, chunk, grey, png_of, read, with_chunks

MIB = 1 << 20


@pytest.fixture
def sheet(sheet: Image.Image) -> Image.Image:
    """Of pure black and white, so that every depth holds it."""
    return sheet.point(lambda level: 255 * (level > 127))


@pytest.mark.parametrize(
    ("depth", "colour", "channels"),
    [
        *[(depth, 0, 1) for depth in (1, 2, 4, 8, 16)],
        *[(depth, colour, channels) for depth in (8, 16) for colour, channels in ((2, 3), (4, 2), (6, 4))],
    ],
)
def test_every_depth_and_colour_type(sheet: Image.Image, depth: int, colour: int, channels: int) -> None:
    top = (1 << depth) - 1
    levels = (grey(sheet) // 255).astype(np.uint16) * top
    pixels = np.repeat(levels[:, :, None], channels, axis=2)
    if channels in (2, 4):
        pixels[:, :, -1] = top
    assert_same(png_of(pixels, depth, colour), read(png(sheet)))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("alpha", [b"", b"\xff\0", b"\xff\x40"])
def test_every_depth_of_a_palette(sheet: Image.Image, depth: int, alpha: bytes) -> None:
    """The second colour is the ground, transparent or not: white, or black under light ink, as it is."""
    ink_is_light = grey(sheet)[0, 0] == 0
    ground = (grey(sheet) > 127) != ink_is_light
    palette = bytes([255] * 3 + [0] * 3 if ink_is_light else [0] * 3 + [255] * 3)
    extra = [chunk(b"PLTE", palette), *([chunk(b"tRNS", alpha)] if alpha else [])]
    assert_same(png_of(ground.astype(np.uint8), depth, 3, *extra), read(png(sheet)), within=1)


@pytest.mark.parametrize(("depth", "colour"), [(2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_a_colour_key_counts_at_every_depth(digits: Digits, depth: int, colour: int) -> None:
    """Ground of the highest level that is not shown, ink near to it: dark, as the ground becomes white."""
    top = (1 << depth) - 1
    ink = cover(digits.images_u8[3]) > 0.5
    levels = np.where(ink, top // 3, 0).astype(np.uint16)
    key = chunk(b"tRNS", bytes(2 if colour == 0 else 6))
    shape = levels if colour == 0 else np.repeat(levels[:, :, None], 3, axis=2)
    drawn = Image.fromarray(np.where(ink, 85, 255).astype(np.uint8))
    assert_same(png_of(shape, depth, colour, key), read(png(drawn)))
    highest = levels.copy()
    highest[~ink] = top
    key = chunk(b"tRNS", top.to_bytes(2) * (1 if colour == 0 else 3))
    shape = highest if colour == 0 else np.repeat(highest[:, :, None], 3, axis=2)
    assert_same(png_of(shape, depth, colour, key), read(png(drawn)))


BROKEN = chunk(b"tEXt", b"Comment\0seven")[:-4] + b"\0\0\0\0"


@pytest.mark.parametrize(
    "extra",
    [
        BROKEN,
        chunk(b"tEXt", b""),
        chunk(b"tEXt", b"Comment\0" + b"x" * 2 * MIB),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3 * MIB))),
        chunk(b"zTXt", b"Comment\0\x09" + b"what is this"),
        chunk(b"zTXt", b"Comment\0\0" + b"no zlib"),
        chunk(b"iTXt", b"Comment\0\1\0en\0\0" + zlib.compress(b"x" * 3 * MIB)),
        chunk(b"iTXt", b"\0\1"),
        chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(bytes(3 * MIB))),
        chunk(b"iCCP", b"sRGB\0\7" + zlib.compress(bytes(30))),
        chunk(b"iCCP", b"sRGB"),
        chunk(b"pHYs", b"\0\1"),
        chunk(b"gAMA", b""),
        chunk(b"cHRM", bytes(8)),
        chunk(b"sRGB", b""),
        chunk(b"tIME", b"\xff" * 7)[:-4] + b"oops",
        chunk(b"acTL", b"\0"),
        chunk(b"fcTL", bytes(26)) * 2,
        chunk(b"eXIf", b"MM\0*\0\0\0\7"),
        chunk(b"prVt", bytes(999)),
        chunk(b"t\xc3\xa4T", bytes(9)),
        chunk(b"tEXt", b"Comment\0x") * 10_000,
    ],
    ids=lambda extra: f"{extra[4:8]!r}, {len(extra)} bytes",
)
def test_what_is_beside_the_pixels_spoils_nothing(sheet: Image.Image, extra: bytes) -> None:
    whole = png(sheet)
    assert_same(with_chunks(whole, extra), read(whole))
    assert_same(whole[:-12] + extra + whole[-12:], read(whole))


def test_little_is_left_of_a_file_that_is_mostly_text(sheet: Image.Image) -> None:
    whole = png(sheet)
    assert len(stripped(with_chunks(whole, chunk(b"tEXt", bytes(2 * MIB)))).data) == len(whole)


def test_the_pieces_are_counted(sheet: Image.Image) -> None:
    with pytest.raises(InvalidImage, match="pieces"):
        read(with_chunks(png(sheet), chunk(b"tEXt", b"") * MAX_PIECES))


@pytest.mark.parametrize("kept", [0, 4, 8, 11])
def test_an_end_that_is_missing_is_not_missed(sheet: Image.Image, kept: int) -> None:
    whole = png(sheet)
    assert_same(whole[: len(whole) - 12 + kept], read(whole))
    assert_same(whole + b"what is behind the end\0" * 9, read(whole))


def test_pixels_in_many_chunks_and_interlaced_are_read(sheet: Image.Image) -> None:
    whole = png(sheet)
    length = int.from_bytes(whole[33:37])
    pixels = whole[41 : 41 + length]
    pieces = [chunk(b"IDAT", pixels[at : at + 7]) for at in range(0, length, 7)]
    assert_same(whole[:33] + b"".join([*pieces, chunk(b"IDAT", b""), chunk(b"IEND", b"")]), read(whole))
    assert_same(interlaced(grey(sheet)), read(whole))


def interlaced(grey_u8: NDArray[np.uint8]) -> bytes:
    """8-bit grey by Adam7, section 8.2."""
    height, width = grey_u8.shape
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    scanlines = b"".join(
        b"\0" + row.tobytes() for y, x, dy, dx in passes for row in grey_u8[y::dy, x::dx] if len(row)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    signature = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return signature + chunk(b"IDAT", zlib.compress(scanlines)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("default_image", [True, False])
def test_an_animation_is_what_is_shown_without_one(sheet: Image.Image, default_image: bool) -> None:
    other = Image.new("L", sheet.size, 128)
    data = png(sheet, save_all=True, append_images=[other, other], default_image=default_image)
    assert b"acTL" in data
    assert_same(data, read(png(sheet)))


def test_apple_s_own_variant_is_refused_by_its_name(sheet: Image.Image) -> None:
    data = png(sheet)
    with pytest.raises(UnsupportedMediaType, match="CgBI"):
        read(data[:8] + chunk(b"CgBI", bytes(4)) + data[8:])


def test_a_header_with_a_wrong_checksum_is_damaged(sheet: Image.Image) -> None:
    data = bytearray(png(sheet))
    data[18] ^= 1
    with pytest.raises(InvalidImage, match="damaged"):
        read(bytes(data))


def test_the_orientation_in_its_own_chunk_is_undone(digits: Digits) -> None:
    sheet = paper(cover(digits.images_u8[3]), 255, 0).crop((0, 0, 260, 280))
    exif = Image.Exif()
    exif[0x0112] = 8
    assert_same(png(sheet.rotate(-90, expand=True), exif=exif), read(png(sheet)))


@pytest.mark.parametrize("header", [b"", bytes(5), bytes(13), bytes(12)])
@pytest.mark.parametrize("key", [b"", b"\xff", b"\xff\xff", bytes(6)])
def test_a_colour_key_beside_a_broken_header_is_damage(header: bytes, key: bytes) -> None:
    signature = png(Image.new("L", (8, 8)))[:8]
    end = chunk(b"IDAT", zlib.compress(bytes(72))) + chunk(b"IEND", b"")
    with pytest.raises(InvalidImage, match="damaged"):
        read(signature + chunk(b"IHDR", header) + chunk(b"tRNS", key) + end)
    whole = png_of(np.zeros((8, 8), np.uint8), 2, 0, chunk(b"tRNS", key))
    with suppress(InvalidImage):
        read(whole)
