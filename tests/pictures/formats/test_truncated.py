"""Files without their end: read where next to nothing is missing, damaged where more is, never misread."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.errors import InvalidImage
from tests.conftest import Digits, png
from tests.pictures.digits.drawings import cover, paper
from tests.pictures.formats.picture_files import assert_same, read
from tests.pictures.formats.test_png_files import interlaced

JPEGS: list[dict[str, Any]] = [
    {"quality": 90},
    {"quality": 90, "progressive": True},
    {"quality": 90, "restart_marker_blocks": 4},
    {"quality": 75, "subsampling": "4:2:0"},
]
EACH = pytest.mark.parametrize("options", JPEGS, ids=str)


@pytest.fixture(params=[0, 255], ids=["dark ink", "light ink"])
def sheet(request: pytest.FixtureRequest, digits: Digits) -> Image.Image:
    """400×400, some ink near to the lower border."""
    ink = cover(digits.images_u8[3], scale=12, side=400, at=(40, 30))
    return paper(ink, 255 - request.param, request.param)


@EACH
@pytest.mark.parametrize("colour", ["L", "RGB"])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_end_mark_is_the_same(
    sheet: Image.Image, options: dict[str, Any], colour: str, missing: int
) -> None:
    whole = png(sheet.convert(colour), "JPEG", **options)
    assert_same(whole[:-missing], read(whole))
    assert_same(whole[:-missing] + b"\0" * 99, read(whole))


@EACH
@pytest.mark.parametrize("missing", [3, 4, 7, 10, 20])
def test_a_jpeg_without_its_last_bytes_is_nearly_the_same(
    sheet: Image.Image, options: dict[str, Any], missing: int
) -> None:
    whole = png(sheet.convert("RGB"), "JPEG", **options)
    assert_same(whole[:-missing], read(whole), within=2)


def test_small_jpegs_without_their_end_mark_are_the_same(digits: Digits) -> None:
    """28×28, of which any block that is missing would be a quarter."""
    for image_u8 in digits.images_u8[:40]:
        for options in JPEGS:
            whole = png(Image.fromarray(image_u8), "JPEG", **options)
            assert_same(whole[:-2], read(whole))


@pytest.mark.parametrize("missing", [1, 4, 12, 14, 16, 20])
def test_a_png_without_its_last_bytes(sheet: Image.Image, missing: int) -> None:
    """Up to 16 are its end and a checksum; what comes before is of the last rows."""
    whole = png(sheet)
    assert_same(whole[:-missing], read(whole))


@pytest.mark.parametrize("image_format", ["PNG", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.985, 0.97])
def test_rows_that_are_missing_at_the_end_are_as_the_last(
    sheet: Image.Image, image_format: str, share: float
) -> None:
    noisy = np.asarray(sheet).astype(int) + np.random.default_rng(0).integers(-9, 9, (400, 400))
    whole = png(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)), image_format)
    assert_same(whole[: int(len(whole) * share)], read(whole), within=6)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7, 0.85])
@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
def test_what_lacks_more_is_damaged(sheet: Image.Image, image_format: str, share: float) -> None:
    noisy = np.asarray(sheet).astype(int) + np.random.default_rng(0).integers(-9, 9, (400, 400))
    whole = png(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)), image_format)
    with pytest.raises(InvalidImage, match="damaged"):
        read(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.8])
@pytest.mark.parametrize("behind", [-2, 0, 30])
def test_a_progressive_jpeg_without_its_last_scans_is_damaged(
    sheet: Image.Image, share: float, behind: int
) -> None:
    """Be it cut off within a scan, or between two."""
    whole = png(sheet.convert("RGB"), "JPEG", progressive=True, quality=90)
    scans = [at for at in range(len(whole)) if whole.startswith(b"\xff\xda", at)]
    with pytest.raises(InvalidImage, match="cut short"):
        read(whole[: scans[round(share * len(scans))] + behind])


def test_a_progressive_jpeg_is_whole_but_for_what_refines_it(sheet: Image.Image) -> None:
    whole = png(sheet.convert("RGB"), "JPEG", progressive=True, quality=90)
    assert_same(whole[: whole.rindex(b"\xff\xda") + 40], read(whole), within=3)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_tiff_that_lacks_pixels_is_damaged(sheet: Image.Image, compressed: bool) -> None:
    """Its directory stands before them; what is written behind them is not taken for them."""
    whole = png(sheet, "TIFF", compression="tiff_lzw" if compressed else "raw")
    for missing in (1, 20, 2000):
        with pytest.raises(InvalidImage, match="damaged"):
            read(whole[:-missing])


def test_an_interlaced_png_lacks_rows_where_it_lacks_pixels(sheet: Image.Image) -> None:
    noisy = np.asarray(sheet).astype(int) + np.random.default_rng(0).integers(-9, 9, (400, 400))
    whole = interlaced(noisy.clip(0, 255).astype(np.uint8))
    assert_same(whole[: int(len(whole) * 0.97)], read(whole), within=6)
    with pytest.raises(InvalidImage, match="cut short"):
        read(whole[: int(len(whole) * 0.7)])
