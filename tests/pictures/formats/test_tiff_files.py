"""TIFF: every kind of pixels and of layout is read, or refused by what it is; never misread."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, features

from service.errors import InvalidImage, UnsupportedMediaType
from service.pictures.formats.tiff import stripped
from tests.conftest import Digits, png
from tests.pictures.digits.drawings import cover, paper
from tests.pictures.formats.picture_files import assert_same, grey, read, tags_of, tiff_of

ORDERS = pytest.mark.parametrize("order", ["<", ">"])


def in_black_and_white(sheet: Image.Image) -> Image.Image:
    return sheet.point(lambda level: 255 * (level > 127))


@ORDERS
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_either_size_and_byte_order(sheet: Image.Image, order: str, big: bool, compressed: bool) -> None:
    strips = [grey(sheet)[at : at + 50].tobytes() for at in range(0, sheet.height, 50)]
    tags = tags_of(sheet.size, [8], 1, t278=50, t259=8 if compressed else 1)
    data = tiff_of([zlib.compress(s) for s in strips] if compressed else strips, tags, order, big)
    assert_same(data, read(png(sheet)))


@ORDERS
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize(
    ("dtype", "declared"),
    [
        *[(of, True) for of in ("u1", "u2", "i2", "u4", "i4", "f4")],
        ("u1", False),
        ("u2", False),
        ("u4", False),
    ],
)
def test_grey_of_every_number(
    sheet: Image.Image, order: str, photometric: int, dtype: str, declared: bool
) -> None:
    """Unsigned where nothing is declared. 32-bit numbers reach beyond 2^31."""
    levels = grey(sheet) if photometric else 255 - grey(sheet)
    factor = {"u1": 1, "u2": 257, "i2": 100, "u4": 16843009, "i4": 8421504, "f4": 1 / 255}[dtype]
    stored = (levels * np.float64(factor)).astype(order + dtype)
    kind = {"t339": {"u": 1, "i": 2, "f": 3}[dtype[0]]} if declared else {}
    tags = tags_of(sheet.size, [8 * int(dtype[1])], photometric, **kind)
    assert_same(tiff_of([stored.tobytes()], tags, order), read(png(sheet)))


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@ORDERS
def test_sixteen_bits_of_which_fewer_are_used(sheet: Image.Image, bits: int, order: str) -> None:
    stored = (grey(sheet).astype(np.uint16) << (bits - 8)).astype(order + "u2")
    assert_same(tiff_of([stored.tobytes()], tags_of(sheet.size, [16], 1), order), read(png(sheet)))


def test_twelve_bits_packed(sheet: Image.Image) -> None:
    levels = grey(sheet).astype(np.uint16).reshape(-1, 2) << 4
    packed = np.stack(
        [levels[:, 0] >> 4, (levels[:, 0] & 15) << 4 | levels[:, 1] >> 8, levels[:, 1] & 255], 1
    )
    data = tiff_of([packed.astype(np.uint8).tobytes()], tags_of(sheet.size, [12], 1))
    assert_same(data, read(png(sheet)))


@ORDERS
@pytest.mark.parametrize("alpha", [0, 1, 2])
def test_grey_with_one_channel_more(sheet: Image.Image, order: str, alpha: int) -> None:
    """Something else, premultiplied alpha, alpha of its own; or nothing is said of it."""
    pixels = np.stack([grey(sheet), np.full_like(grey(sheet), 255)], 2).tobytes()
    assert_same(tiff_of([pixels], tags_of(sheet.size, [8, 8], 1, t338=alpha), order), read(png(sheet)))
    assert_same(tiff_of([pixels], tags_of(sheet.size, [8, 8], 1), order), read(png(sheet)))


@ORDERS
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
@pytest.mark.parametrize("planes", [False, True])
def test_colours(sheet: Image.Image, order: str, mode: str, planes: bool) -> None:
    pixels = np.asarray(sheet.convert("RGB").convert(mode))
    photometric = {"CMYK": 5, "YCbCr": 6, "LAB": 8}.get(mode, 2)
    channels = pixels.shape[2]
    tags = tags_of(sheet.size, [8] * channels, photometric, t284=2 if planes else 1, t530=[1, 1])
    strips = [plane.tobytes() for plane in np.moveaxis(pixels, 2, 0)] if planes else [pixels.tobytes()]
    data = tiff_of(strips, tags, order)
    if planes and mode in ("YCbCr", "LAB"):
        with pytest.raises(UnsupportedMediaType, match="planes without compression"):
            read(data)
        return
    assert_same(data, read(png(sheet)), within=1)


@ORDERS
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("planes", [False, True])
def test_colours_of_sixteen_bits(sheet: Image.Image, order: str, compressed: bool, planes: bool) -> None:
    """Without compression, Pillow would take two bytes of one sample for two samples."""
    deep = np.repeat((grey(sheet).astype(np.uint16) * 257)[:, :, None], 3, 2).astype(order + "u2")
    strips = [plane.tobytes() for plane in np.moveaxis(deep, 2, 0)] if planes else [deep.tobytes()]
    tags = tags_of(sheet.size, [16] * 3, 2, t284=2 if planes else 1, t259=8 if compressed else 1)
    data = tiff_of([zlib.compress(s) for s in strips] if compressed else strips, tags, order)
    if planes and not compressed:
        with pytest.raises(UnsupportedMediaType, match="planes without compression of 3 × 16 bits"):
            read(data)
        return
    assert_same(data, read(png(sheet)))


@pytest.mark.parametrize(
    "compression",
    ["raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg", "lzma", "zstd"],
)
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_every_compression(sheet: Image.Image, compression: str, mode: str) -> None:
    if mode == "I;16":
        if compression == "jpeg":  # has no 16 bits
            compression = "packbits"
        picture = Image.fromarray(grey(sheet).astype(np.uint16) * 16)
    else:
        picture = sheet.convert(mode)
    assert features.check("libtiff")
    assert_same(png(picture, "TIFF", compression=compression), read(png(sheet)), within=3)


@pytest.mark.parametrize("compression", ["raw", "group3", "group4", "packbits", "tiff_lzw"])
@pytest.mark.parametrize("fill_order", [1, 2])
@pytest.mark.parametrize("photometric", [0, 1])
def test_black_and_white(sheet: Image.Image, compression: str, fill_order: int, photometric: int) -> None:
    plain = in_black_and_white(sheet)
    tags = {262: photometric, 266: fill_order}
    if compression == "raw":
        packed = np.packbits(grey(plain) > 127, axis=1)
        packed = packed if photometric else ~packed
        bits = np.unpackbits(packed[:, :, None], axis=2)
        packed = np.packbits(bits[:, :, ::-1], axis=2)[:, :, 0] if fill_order == 2 else packed
        data = tiff_of([packed.tobytes()], tags_of(plain.size, [1], photometric, t266=fill_order))
    else:
        data = png(plain.convert("1"), "TIFF", compression=compression, tiffinfo=tags)
    assert_same(data, read(png(plain)))


@ORDERS
@pytest.mark.parametrize("compressed", [False, True])
def test_tiles(sheet: Image.Image, order: str, compressed: bool) -> None:
    """280 pixels in tiles of 64: those at the right and at the bottom reach beyond."""
    padded = np.pad(grey(sheet), ((0, 40), (0, 40)), constant_values=77)
    tiles = [padded[y : y + 64, x : x + 64].tobytes() for y in range(0, 320, 64) for x in range(0, 320, 64)]
    tags = tags_of(sheet.size, [8], 1, t322=64, t323=64, t259=8 if compressed else 1)
    del tags[278]
    data = tiff_of([zlib.compress(t) for t in tiles] if compressed else tiles, tags, order, tiled=True)
    assert_same(data, read(png(sheet)))


def test_a_palette(sheet: Image.Image) -> None:
    plain = in_black_and_white(sheet)
    palette = [65535, *[0] * 255] * 3
    indices = (grey(plain) <= 127).astype(np.uint8)
    assert_same(tiff_of([indices.tobytes()], tags_of(plain.size, [8], 3, t320=palette)), read(png(plain)))


def test_the_first_of_many_counts_and_what_is_beside_it_spoils_nothing(sheet: Image.Image) -> None:
    other = Image.new("L", sheet.size, 128)
    assert_same(png(sheet, "TIFF", save_all=True, append_images=[other, other]), read(png(sheet)))
    # A description of 4 GiB, a resolution of text, a directory of Exif that is nowhere, a profile likewise.
    tags = {
        **tags_of(sheet.size, [8], 1, t282=7, t296=9),
        270: (4, [0xFFFFFFFF]),
        34665: (4, [0xFFFFFF00]),
        34675: (4, [1]),
        65_000: (3, list(range(5000))),
    }
    whole = tiff_of([grey(sheet).tobytes()], tags)
    assert_same(whole, read(png(sheet)))
    assert Image.open(BytesIO(stripped(whole).data)).tag_v2.get(65_000) is None  # type: ignore[attr-defined]


@ORDERS
@pytest.mark.parametrize("kind", [3, 4])
def test_the_orientation_is_undone(digits: Digits, order: str, kind: int) -> None:
    sheet = paper(cover(digits.images_u8[3]), 255, 0).crop((0, 0, 256, 280))
    turned = sheet.rotate(90, expand=True)
    for orientation, stored in ((6, turned), (1, sheet), (0, sheet), (99, sheet)):
        tags = {**tags_of(stored.size, [8], 1), 274: (kind, [orientation])}
        assert_same(tiff_of([grey(stored).tobytes()], tags, order), read(png(sheet)))


def one_strip(
    size: tuple[int, int], bits: list[int], photometric: int, **others: int
) -> tuple[bytes, bytes]:
    tags = tags_of(size, bits, photometric, **others)
    pixels = bytes(size[0] * size[1] * sum(bits) // 8 + 99)
    pixels = zlib.compress(pixels) if others.get("t259") == 8 else pixels
    return tiff_of([pixels], tags, "<"), tiff_of([pixels], tags, ">")


NOT_READ: list[tuple[list[int], int, dict[str, int], str]] = [
    ([16], 1, {"t339": 3}, "1 × 16 bits, floating-point"),
    ([64], 1, {"t339": 3}, "1 × 64 bits, floating-point"),
    ([24], 1, {"t339": 3}, "1 × 24 bits"),
    ([64], 1, {}, "1 × 64 bits, unsigned"),
    ([64], 1, {"t339": 6}, "complex"),
    ([10], 1, {}, "1 × 10 bits"),
    ([14], 1, {}, "1 × 14 bits"),
    ([32] * 3, 2, {"t339": 3}, "3 × 32 bits, floating-point"),
    ([16, 16], 1, {"t338": 2}, "2 × 16 bits"),
    ([8], 1, {"t259": 34887}, "compression 34887"),
    ([8], 1, {"t259": 34712}, "compression 34712"),
    ([8], 1, {"t259": 50001}, "WebP within it"),
    ([8], 32803, {}, "photometric interpretation 32803"),
    ([16] * 3, 32845, {"t259": 34676}, "photometric interpretation 32845"),
    ([8] * 3, 6, {}, "YCbCr without compression"),
]


@pytest.mark.parametrize(("bits", "photometric", "others", "kind"), NOT_READ)
def test_what_pillow_does_not_read_is_refused_by_what_it_is(
    bits: list[int], photometric: int, others: dict[str, int], kind: str
) -> None:
    for data in one_strip((40, 40), bits, photometric, **others):
        with pytest.raises(UnsupportedMediaType, match=kind):
            read(data)


@pytest.mark.parametrize(("bits", "number"), [(32, 3), (32, 2), (32, 1), (16, 2)])
def test_what_pillow_misreads_in_silence_is_refused(bits: int, number: int) -> None:
    """Big-endian and compressed: libtiff has turned the bytes already, and Pillow turns them once more."""
    _, data = one_strip((40, 40), [bits], 1, t259=8, t339=number)
    with pytest.raises(UnsupportedMediaType, match="big-endian and compressed"):
        read(data)


@pytest.mark.parametrize("missing", [256, 257, 273])
def test_what_has_no_size_or_no_pixels_is_damaged(missing: int) -> None:
    data = tiff_of([bytes(1600)], tags_of((40, 40), [8], 1))
    entry = data.index(missing.to_bytes(2, "little") + (b"\3\0" if missing != 273 else b"\4\0"))
    with pytest.raises(InvalidImage, match="damaged"):
        read(data[:entry] + b"\xfe\xff" + data[entry + 2 :])


def test_values_that_reach_beyond_the_file_or_over_and_over_it_are_damage() -> None:
    size = (40, 40)
    whole = tiff_of([bytes(1600)], {**tags_of(size, [8], 1), 320: (3, [0] * 768)})
    with pytest.raises(InvalidImage, match="damaged"):
        read(whole.replace((768).to_bytes(4, "little"), (768_000).to_bytes(4, "little")))
    tags = {**tags_of(size, [8], 1), **{tag: (4, [8]) for tag in range(512, 522)}}
    repeated = tiff_of([bytes(1600)], tags)
    for tag in range(512, 522):
        entry = struct.pack("<HHI", tag, 4, 1)
        repeated = repeated.replace(entry, struct.pack("<HHI", tag, 4, 400))
    with pytest.raises(InvalidImage, match="damaged"):
        read(repeated)
