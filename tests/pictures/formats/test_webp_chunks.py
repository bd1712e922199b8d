"""WebP: what is wrong with its frame, or stands beside its pixels, keeps no viewer from showing it."""

import pytest
from PIL import Image

from service.errors import InvalidImage
from service.pictures.formats.stripping import MAX_PIECES
from tests.conftest import Digits, png
from tests.pictures.digits.drawings import cover, paper
from tests.pictures.formats.picture_files import assert_same, read


@pytest.fixture(params=[True, False], ids=["lossless", "lossy"])
def whole(request: pytest.FixtureRequest, digits: Digits) -> bytes:
    sheet = paper(cover(digits.images_u8[3]), 255, 0).convert("RGB")
    return png(sheet, "WEBP", lossless=request.param)


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)


@pytest.mark.parametrize("off", [-9, -8, 1, 2, 1000, 2**31])
def test_a_wrong_length_is_no_harm(whole: bytes, off: int) -> None:
    size = max(0, len(whole) + off) % 2**32
    assert_same(whole[:4] + size.to_bytes(4, "little") + whole[8:], read(whole))


def test_a_missing_last_byte_and_what_follows_are_no_harm(whole: bytes) -> None:
    assert_same(whole[:-1], read(whole))
    assert_same(whole + b"what is behind the end" * 9, read(whole))
    assert_same(whole + chunk(b"prVt", bytes(99)) * 9, read(whole))


def test_what_lacks_pixels_is_damaged(whole: bytes) -> None:
    for missing in (3, 9, 100):
        with pytest.raises(InvalidImage, match="cut short"):
            read(whole[:-missing])


@pytest.mark.parametrize(
    "options", [{"exif": b"Exif\0\0MM\0*oops"}, {"icc_profile": b"none"}, {"xmp": b"<x"}]
)
def test_what_is_beside_the_pixels_spoils_nothing(digits: Digits, options: dict[str, bytes]) -> None:
    sheet = paper(cover(digits.images_u8[3]), 255, 0)
    assert_same(png(sheet.convert("RGB"), "WEBP", lossless=True, **options), read(png(sheet)))


def test_the_orientation_is_undone_and_the_first_frame_counts(digits: Digits) -> None:
    sheet = paper(cover(digits.images_u8[3]), 255, 0).crop((0, 0, 256, 280))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, other = sheet.rotate(90, expand=True).convert("RGB"), Image.new("RGB", (280, 256))
    assert_same(png(turned, "WEBP", lossless=True, exif=exif), read(png(sheet)))
    moving = png(turned, "WEBP", lossless=True, exif=exif, save_all=True, append_images=[other])
    assert_same(moving, read(png(sheet)))


def test_the_pieces_are_counted(whole: bytes) -> None:
    with pytest.raises(InvalidImage, match="pieces"):
        read(whole + chunk(b"prVt", b"") * MAX_PIECES)
