"""GIF: its first frame, and whatever stands around it."""

import numpy as np
import pytest
from PIL import Image

from service.errors import InvalidImage
from service.pictures.formats.gif import stripped
from service.pictures.formats.stripping import MAX_PIECES
from tests.conftest import Digits, png
from tests.pictures.digits.drawings import cover
from tests.pictures.formats.picture_files import assert_same, read

COMMENT = b"\x21\xfe" + b"\xff" + b"x" * 255 + b"\0"


@pytest.mark.parametrize("interlaced", [0, 1])
def test_the_frame_is_what_is_left(sheet: Image.Image, interlaced: int) -> None:
    other = Image.new("L", sheet.size, 128)
    alone = png(sheet, "GIF", interlace=interlaced)
    moving = png(sheet, "GIF", interlace=interlaced, save_all=True, append_images=[other, other], loop=0)
    assert_same(alone, read(png(sheet)))
    assert_same(moving, read(png(sheet)))
    assert len(stripped(moving).data) <= len(alone) + 8


def test_what_is_beside_the_pixels_spoils_nothing(sheet: Image.Image) -> None:
    whole = png(sheet, "GIF")
    at = 13 + 3 * 256
    assert_same(whole[:at] + COMMENT * 9000 + whole[at:], read(whole))
    assert_same(whole[:at] + b"\x21\xff\x0bNETSCAPE2.0\1\1\0" + whole[at:], read(whole))
    assert_same(whole + b"what is behind the end", read(whole))


def test_the_pieces_are_counted(sheet: Image.Image) -> None:
    whole = png(sheet, "GIF")
    at = 13 + 3 * 256
    with pytest.raises(InvalidImage, match="pieces"):
        read(whole[:at] + b"\x21\xfe\0" * MAX_PIECES + whole[at:])
    with pytest.raises(InvalidImage, match="pieces"):
        read(whole[:at] + b"\x21\xfe" + b"\1x" * 5 * MAX_PIECES + b"\0" + whole[at:])


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_missing_end_is_not_missed(sheet: Image.Image, missing: int) -> None:
    whole = png(sheet, "GIF")
    assert_same(whole[:-missing], read(whole))


def test_a_transparent_ground_is_kept(digits: Digits) -> None:
    ink = (cover(digits.images_u8[3]) > 0.5).astype(np.uint8)
    drawn = Image.fromarray(ink)
    palette = Image.new("P", drawn.size)
    palette.putdata(ink.ravel().tolist())
    palette.putpalette([0, 0, 0, 10, 10, 10])
    assert_same(png(palette, "GIF", transparency=0), read(png(Image.fromarray(255 - 245 * ink))))
