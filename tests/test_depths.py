"""Grey of more than 8 bits: the same digit at any depth is the same as at 8."""

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.depths import DEPTHS, UNSIGNED, shallow, used_bits
from service.errors import InvalidImage
from service.modes import opaque
from tests.conftest import Digits, png
from tests.drawings import cover, paper


@pytest.fixture(params=[0, 255], ids=["dark ink", "light ink"])
def sheet_u8(request: pytest.FixtureRequest, digits: Digits) -> NDArray[np.uint8]:
    """A digit drawn in black on white, or the reverse."""
    return np.asarray(paper(cover(digits.images_u8[3]), 255 - request.param, request.param))


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
    monkeypatch.setattr("service.depths._BAND", 64 * 3)
    assert shallow(Image.fromarray(deep_u16), key) == whole
    assert whole.getchannel("A").getextrema() == (0, 255)
    assert whole.getchannel("L").getextrema() == (0, 255)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    grey = np.zeros((9, 9), dtype=np.float32)
    grey[4, 4] = bad
    with pytest.raises(InvalidImage, match="not numbers"):
        shallow(Image.fromarray(grey))
