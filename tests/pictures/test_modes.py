"""Every mode that Pillow has, and what is transparent in it → the same as the plain picture."""

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.pictures.modes import opaque
from tests.conftest import Digits
from tests.pictures.digits.drawings import cover, paper

GREY = ("L", "1", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
COLOUR = ("P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB", "HSV")


def in_mode(sheet: Image.Image, mode: str) -> Image.Image:
    if mode.startswith("I;16"):
        deep_u16 = np.asarray(sheet).astype(np.uint16) * 257
        return Image.frombytes(
            mode, sheet.size, deep_u16.astype(">u2" if mode == "I;16B" else "<u2").tobytes()
        )
    if mode == "La":
        return Image.merge("La", (sheet, Image.new("L", sheet.size, 255)))
    if mode in ("PA", "RGBa"):
        return sheet.convert("RGBA").convert(mode)
    if mode in ("LAB", "HSV", "RGBX"):
        return sheet.convert("RGB").convert(mode)
    return sheet.convert(mode, dither=Image.Dither.NONE)


def test_every_mode_of_pillow_is_named_here() -> None:
    named = {*GREY, *COLOUR}
    for mode in (*Image.MODES, "La", "RGBa", "I;16", "I;16L", "I;16B", "I;16N"):
        assert mode in named


@pytest.mark.parametrize("mode", [*GREY, *COLOUR])
def test_every_mode_becomes_plain(sheet: Image.Image, mode: str) -> None:
    plain = opaque(in_mode(sheet, mode))
    assert plain.mode == ("L" if mode in GREY and mode not in ("LA", "La") else "RGB")
    off = np.abs(levels(plain.convert("L")) - levels(sheet))
    assert off.mean() < (8 if mode == "1" else 2)


def levels(picture: Image.Image) -> NDArray[np.int_]:
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_ink_on_nothing_is_ink_on_white(digits: Digits, mode: str) -> None:
    ink = cover(digits.images_u8[3])
    alpha = Image.fromarray((ink * 255).astype(np.uint8))
    drawn = Image.merge("LA", (Image.new("L", alpha.size, 60), alpha))
    if mode == "La":
        stored = Image.merge("La", (alpha.point(lambda level: round(level * 60 / 255)), alpha))
    elif mode == "PA":
        stored = Image.merge("PA", (drawn.getchannel("L"), alpha))
        stored.putpalette([level for level in range(256) for _ in range(3)])
    else:
        stored = drawn if mode == "LA" else drawn.convert("RGBA").convert(mode)
    assert np.abs(levels(opaque(stored).convert("L")) - levels(paper(ink, 255, 60))).max() <= 2


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_alpha_that_is_nothing_everywhere_says_nothing(sheet: Image.Image, mode: str) -> None:
    """Except where it is multiplied into the levels, of which nothing is left then."""
    nothing = Image.new("L", sheet.size, 0)
    if mode in ("La", "RGBa"):
        stored = Image.merge(mode, [nothing] * len(Image.new(mode, (1, 1)).getbands()))
        assert len(set(opaque(stored).convert("L").tobytes())) == 1
        return
    if mode == "PA":
        stored = Image.merge("PA", (sheet, nothing))
        stored.putpalette([level for level in range(256) for _ in range(3)])
    else:
        stored = Image.merge("LA", (sheet, nothing)).convert(mode)
    assert np.array_equal(levels(opaque(stored).convert("L")), levels(sheet))


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "I;16"])
def test_a_colour_key_is_the_same_in_every_mode(digits: Digits, mode: str) -> None:
    """Ink of level 10 on a ground of 0 that is not shown: on white, where it would be blank as it is."""
    ink = cover(digits.images_u8[3]) > 0.5
    buffer = BytesIO()
    stored = in_mode(Image.fromarray(ink.astype(np.uint8) * 10), mode)
    stored.save(buffer, "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
    shown = levels(opaque(Image.open(buffer)).convert("L"))
    assert (shown[~ink] == 255).all()
    assert (shown[ink] < 200).all()
