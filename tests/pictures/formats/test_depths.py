"""Grey of more than 8 bits: the same digit at any depth is the same as at 8."""

import zlib
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.errors import InvalidImage
from service.pictures.formats.depths import DEPTHS, UNSIGNED, shallow, used_bits
from service.pictures.modes import opaque
from tests.conftest import png
from tests.pictures.formats.picture_files import assert_same, png_of, read, tags_of, tiff_of


@pytest.fixture
def sheet_u8(sheet: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(sheet)


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("scaled", [True, False], ids=["scaled", "shifted"])
@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_of_sixteen_bits_those_that_are_used_count(
    sheet_u8: NDArray[np.uint8], bits: int, scaled: bool, image_format: str
) -> None:
    """Programs multiply by (2^bits - 1) / 255, cameras by a power of 2."""
    factor = ((1 << bits) - 1) / 255 if scaled else 2.0 ** (bits - 8)
    deep_u16 = (sheet_u8 * factor).round().astype(np.uint16)
    for stored in (deep_u16, deep_u16.astype(">u2")):
        read = Image.open(BytesIO(png(Image.fromarray(stored), image_format)))
        assert read.mode.startswith("I;16")
        assert np.array_equal(np.asarray(opaque(read)), sheet_u8)


def test_the_depth_is_the_least_that_holds_the_highest_level() -> None:
    tops = [0, 255, 256, 1023, 1024, 4095, 4096, 16383, 16384, 65535]
    assert [used_bits(top) for top in tops] == [8, 8, 10, 10, 12, 12, 14, 14, 16, 16]


@pytest.mark.parametrize("dtype", ["int32", "uint32", "float32"])
@pytest.mark.parametrize("factor", [1 / 255, 1, 257, 2**23, 2**24 + 1])
def test_what_has_no_agreed_range_is_stretched_to_its_own(
    sheet_u8: NDArray[np.uint8], dtype: str, factor: float
) -> None:
    deep = sheet_u8 * np.float64(factor)
    if dtype != "float32" and (factor < 1 or deep.max() > np.iinfo(dtype).max):
        deep = sheet_u8.astype(np.float64)
    picture = Image.fromarray(deep.astype(dtype).view("int32") if dtype == "uint32" else deep.astype(dtype))
    picture.info[UNSIGNED] = dtype == "uint32"
    assert np.array_equal(np.asarray(shallow(picture)), sheet_u8)


def test_a_picture_of_many_bands_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lightest and darkest levels lie in different bands."""
    deep_u16 = np.linspace(0, 1023, 64 * 50).astype(np.uint16).reshape(50, 64)
    key = int(deep_u16[0, 0])
    whole = shallow(Image.fromarray(deep_u16), key)
    monkeypatch.setattr("service.pictures.formats.depths._BAND", 64 * 3)
    assert shallow(Image.fromarray(deep_u16), key) == whole
    assert whole.getchannel("A").getextrema() == (0, 255)
    assert whole.getchannel("L").getextrema() == (0, 255)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    grey = np.zeros((9, 9), dtype=np.float32)
    grey[4, 4] = bad
    with pytest.raises(InvalidImage, match="not numbers"):
        shallow(Image.fromarray(grey))


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("alpha_bits", [None, 16])
def test_of_colour_too_those_bits_count_that_are_used(
    sheet_u8: NDArray[np.uint8], bits: int, colour: int, channels: int, alpha_bits: int | None
) -> None:
    """PNG; where it has alpha, that is of the same depth, or of its own."""
    pixels = np.repeat(sheet_u8.astype(np.uint16)[:, :, None] << (bits - 8), channels, 2)
    if channels in (2, 4):
        pixels[:, :, -1] = (1 << (alpha_bits or bits)) - 1
    assert_same(png_of(pixels, 16, colour), read(png(sheet_u8)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("extra", [None, 0, 2])
def test_so_they_do_in_a_tiff(
    sheet_u8: NDArray[np.uint8], order: str, compressed: bool, extra: int | None
) -> None:
    channels = 3 if extra is None else 4
    pixels = np.repeat(sheet_u8.astype(np.uint16)[:, :, None] << 4, channels, 2)
    if extra == 2:
        pixels[:, :, 3] = 4095
    tags = tags_of((280, 280), [16] * channels, 2, t259=8 if compressed else 1)
    tags |= {} if extra is None else {338: (3, [extra])}
    stored = pixels.astype(f"{order}u2").tobytes()
    data = tiff_of([zlib.compress(stored) if compressed else stored], tags, order)
    assert_same(data, read(png(sheet_u8)))
