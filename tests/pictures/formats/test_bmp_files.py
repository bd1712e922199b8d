"""BMP: every header, depth, direction and layout of bits that a browser shows."""

import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.errors import UnsupportedMediaType
from tests.conftest import Digits, png
from tests.pictures.digits.drawings import cover, paper
from tests.pictures.formats.picture_files import assert_same, grey, read

SIZE = (279, 280)  # of odd width: rows are filled up
INFO, V2, V3, V4, V5, OS2 = 40, 52, 56, 108, 124, 64
GREYS = bytes(level for grey_level in range(256) for level in (grey_level, grey_level, grey_level, 0))


@pytest.fixture
def sheet(sheet: Image.Image) -> Image.Image:
    """In black and white."""
    return sheet.crop((0, 0, *SIZE)).point(lambda level: 255 * (level > 127))


def bmp(
    rows: NDArray[np.generic],
    bits: int,
    compression: int = 0,
    size: int = INFO,
    masks: tuple[int, ...] = (),
    palette: bytes = b"",
    top_down: bool = False,
    pixels: bytes | None = None,
) -> bytes:
    """`rows`: as they are stored, from the top. `masks` stand within the header, or behind a short one."""
    if pixels is None:
        packed = [row.tobytes() for row in (rows if top_down else rows[::-1])]
        pixels = b"".join(row + bytes(-len(row) % 4) for row in packed)
    height = -SIZE[1] if top_down else SIZE[1]
    header = struct.pack("<IiiHHIIIIII", size, SIZE[0], height, 1, bits, compression, 0, 0, 0, 0, 0)
    header = (header + struct.pack(f"<{len(masks)}I", *masks)).ljust(size, b"\0")
    at = 14 + len(header) + len(palette)
    return struct.pack("<2sIII", b"BM", at + len(pixels), 0, at) + header + palette + pixels


LAYOUTS_16 = [
    (0xF800, 0x07E0, 0x001F),
    (0x7C00, 0x03E0, 0x001F),
    (0x7C00, 0x03E0, 0x001F, 0x8000),
    (0x0F00, 0x00F0, 0x000F),
    (0x0F00, 0x00F0, 0x000F, 0xF000),
    (0x001F, 0x07E0, 0xF800),
    (0x00E0, 0x001C, 0x0003),
    (0, 0, 0),
]
LAYOUTS_32 = [
    (0xFF0000, 0xFF00, 0xFF),
    (0xFF, 0xFF00, 0xFF0000),
    (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
    (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
    (0xFF00, 0xFF0000, 0xFF000000),
    (0x3FF00000, 0x000FFC00, 0x000003FF),
    (0x3FF00000, 0x000FFC00, 0x000003FF, 0xC0000000),
    (0x7C00, 0x03E0, 0x001F),
    (0xFFF, 0xFFF000, 0xFF000000),
    (0, 0, 0),
]


@pytest.mark.parametrize("size", [INFO, V2, V3, V4, V5])
@pytest.mark.parametrize(
    ("bits", "masks"), [*[(16, masks) for masks in LAYOUTS_16], *[(32, masks) for masks in LAYOUTS_32]]
)
@pytest.mark.parametrize("top_down", [False, True])
def test_bit_fields(
    sheet: Image.Image, size: int, bits: int, masks: tuple[int, ...], top_down: bool
) -> None:
    usual = (0x7C00, 0x03E0, 0x001F) if bits == 16 else (0xFF0000, 0xFF00, 0xFF)
    red, green, blue, *alpha = masks if any(masks) else usual
    ink = np.where(grey(sheet) > 127, red | green | blue, 0) | sum(alpha)
    compression = 6 if size < V3 and alpha else 3
    data = bmp(ink.astype(f"<u{bits // 8}"), bits, compression, size, masks, top_down=top_down)
    assert_same(data, read(png(sheet)))


def test_bit_fields_hold_what_lies_between(digits: Digits) -> None:
    """Five and six bits of grey, and alpha of one."""
    levels = grey(paper(cover(digits.images_u8[3]), 250, 30).crop((0, 0, *SIZE))).astype(np.uint16)
    stored = (levels >> 3) << 11 | (levels >> 2) << 5 | levels >> 3
    plain = read(png(Image.fromarray(levels.astype(np.uint8))))
    assert_same(bmp(stored.astype("<u2"), 16, 3, masks=LAYOUTS_16[0]), plain, within=1)


def test_alpha_of_nothing_but_0_says_nothing(sheet: Image.Image) -> None:
    stored = np.where(grey(sheet) > 127, 0xFFFFFF, 0).astype("<u4")
    assert_same(bmp(stored, 32, 3, V4, LAYOUTS_32[3]), read(png(sheet)))
    assert_same(bmp(stored, 32, 0, V5, LAYOUTS_32[3]), read(png(sheet)))


@pytest.mark.parametrize("size", [INFO, V4, V5, OS2])
@pytest.mark.parametrize("top_down", [False, True])
def test_every_depth(sheet: Image.Image, size: int, top_down: bool) -> None:
    white = grey(sheet) > 127
    palette = bytes((0, 0, 0, 0, 255, 255, 255, 0))
    for bits in (1, 4, 8):
        indices = np.unpackbits(white[:, :, None].astype(np.uint8), axis=2)[:, :, 8 - bits :]
        packed = np.packbits(indices.reshape(SIZE[1], -1), axis=1)
        colours = palette.ljust(4 << bits, b"\0")
        assert_same(bmp(packed, bits, 0, size, palette=colours, top_down=top_down), read(png(sheet)))
    for bits, level in ((16, 0x7FFF), (24, 0xFFFFFF), (32, 0xFFFFFF)):
        stored = np.where(white, level, 0).astype("<u4").view(np.uint8).reshape(*white.shape, 4)
        assert_same(bmp(stored[:, :, : bits // 8], bits, 0, size, top_down=top_down), read(png(sheet)))


def test_the_first_header_of_os2(sheet: Image.Image) -> None:
    rows = np.repeat(grey(sheet)[::-1, :, None], 3, 2)
    pixels = b"".join(row.tobytes() + bytes(-row.size % 4) for row in rows)
    header = struct.pack("<IHHHH", 12, *SIZE, 1, 24)
    assert_same(struct.pack("<2sIII", b"BM", 0, 0, 26) + header + pixels, read(png(sheet)))


@pytest.mark.parametrize("size", [16, 20, 36, 46, OS2])
def test_the_second_header_of_os2_ends_anywhere(sheet: Image.Image, size: int) -> None:
    pixels = b"".join(row.tobytes() + b"\0" for row in grey(sheet)[::-1])
    header = struct.pack("<IiiHH", size, *SIZE, 1, 8).ljust(size, b"\0")[:size]
    at = 14 + size + len(GREYS)
    assert_same(struct.pack("<2sIII", b"BM", 0, 0, at) + header + GREYS + pixels, read(png(sheet)))


def test_a_palette_that_says_it_is_too_large(sheet: Image.Image) -> None:
    data = bytearray(bmp(grey(sheet), 8, palette=GREYS + bytes(80)))
    data[46:50] = (276).to_bytes(4, "little")
    assert_same(bytes(data), read(png(sheet)))


def test_runs(sheet: Image.Image) -> None:
    """RLE8, RLE4: every row in runs, and its end; at last the end of all."""
    for bits, compression in ((8, 1), (4, 2)):
        white = grey(sheet)[::-1] > 127
        runs = bytearray()
        for row in white:
            changes = np.flatnonzero(np.diff(row)) + 1
            for start, end in zip([0, *changes], [*changes, len(row)], strict=True):
                index = 255 if row[start] else 0
                for at in range(start, end, 255):
                    runs += bytes((min(255, end - at), index))
            runs += b"\0\0"
        runs += b"\0\1"
        palette = GREYS if bits == 8 else bytes(v for i in range(16) for v in (i * 17, i * 17, i * 17, 0))
        data = bmp(white, bits, compression, palette=palette, pixels=bytes(runs))
        assert_same(data, read(png(sheet)))


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"bits": 0, "compression": 4}, "a JPEG within it"),
        ({"bits": 0, "compression": 5}, "a PNG within it"),
        ({"bits": 32, "compression": 11}, "CMYK"),
        ({"bits": 1, "compression": 3, "size": OS2}, "Huffman"),
        ({"bits": 24, "compression": 4, "size": OS2}, "run-length"),
        ({"bits": 2}, "2 bits a pixel"),
        ({"bits": 64}, "64 bits a pixel"),
        ({"bits": 16, "size": 66}, "a header of 66 bytes"),
        ({"bits": 32, "compression": 3, "masks": (0xFF00FF, 0xFF00, 0xFF)}, "bit fields with gaps"),
    ],
)
def test_what_is_not_read_is_refused_by_what_it_is(options: dict[str, int], kind: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=kind):
        read(bmp(np.zeros((SIZE[1], SIZE[0]), np.uint32), **options))  # type: ignore[arg-type]
