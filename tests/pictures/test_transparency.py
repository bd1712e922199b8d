"""What is behind transparent parts: the ground that a drawing has, or paper on which its ink shows."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from service.engine.predictor import Predictor
from service.errors import BlankImage
from service.pictures.digits.preparation import prepare
from service.pictures.modes import opaque
from service.pictures.transparency import WHOLE
from tests.conftest import Digits
from tests.pictures.digits.drawings import right_answers

Colour = tuple[int, int, int]
SIDES = [28, 64, 200, 400, 1000]
COLOURS: dict[str, tuple[Colour, Colour]] = {
    "black on white": ((0, 0, 0), (255, 255, 255)),
    "white on black": ((255, 255, 255), (0, 0, 0)),
    "chalk on a board": ((225, 225, 225), (30, 50, 40)),
    "yellow on blue": ((255, 240, 120), (20, 30, 160)),
    "red on green of the same luma": ((192, 0, 0), (0, 98, 0)),
    "little contrast": ((110, 110, 110), (150, 150, 150)),
}
BOTH = ["black on white", "white on black"]


def drawn(cover: Image.Image, colours: str) -> Image.Image:
    ink, ground = (Image.new("RGB", cover.size, colour) for colour in COLOURS[colours])
    return Image.composite(ink, ground, cover)


def covers(digits: Digits, side: int, share: float = 0.7) -> list[Image.Image]:
    """How much ink covers each pixel of a sheet, of which the 28×28 take that share; 1 to crop the ink."""
    found, count = [], 4 if side == 1000 else 12
    for image_u8 in digits.images_u8[:count]:
        size = round(side * share)
        sheet = Image.new("L", (side, side))
        at = (side - size) // 2
        sheet.paste(Image.fromarray(image_u8).resize((size, size), Image.Resampling.BICUBIC), (at, at))
        found.append(sheet)
    return found


def with_margin(
    sheet: Image.Image, *margin: int, under: Colour = (255, 255, 255), shape: Image.Image | None = None
) -> Image.Image:
    """`margin`: left, top, right, bottom. `under`: the colour that nobody sees. `shape`: of the sheet."""
    left, top, right, bottom = margin
    size = sheet.width + left + right, sheet.height + top + bottom
    picture = Image.new("RGBA", size, (*under, 0))
    if shape:
        sheet = Image.composite(
            sheet, Image.new("RGB", sheet.size, under), shape.point(lambda v: 255 * (v > 0))
        )
    sheet = sheet.convert("RGBA")
    sheet.putalpha(shape or 255)
    picture.paste(sheet, (left, top))
    return picture


MARGINS = [(8, 8, 8, 8), (1, 1, 1, 1), (60, 60, 60, 60), (8, 0, 0, 0), (12, 12, 0, 0), (0, 0, 0, 60)]


@pytest.mark.parametrize("margin", MARGINS, ids=str)
@pytest.mark.parametrize("colours", COLOURS)
def test_a_drawing_with_a_transparent_margin_is_read_as_without(
    colours: str, margin: tuple[int, ...], digits: Digits, model: Predictor
) -> None:
    under = COLOURS[colours][0]  # as unlike the ground as can be
    pictures = [with_margin(drawn(cover, colours), *margin, under=under) for cover in covers(digits, 200)]
    assert right_answers(model, map(opaque, pictures), digits.labels) >= len(pictures) - 1


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("share", [0.7, 1.3], ids=["with room", "cropped at the ink"])
@pytest.mark.parametrize("colours", BOTH)
def test_of_any_size(colours: str, share: float, side: int, digits: Digits, model: Predictor) -> None:
    margin = max(1, side // 25)
    pictures = [with_margin(drawn(cover, colours), *4 * (margin,)) for cover in covers(digits, side, share)]
    assert right_answers(model, map(opaque, pictures), digits.labels) >= len(pictures) - 1


def rounded(size: tuple[int, int]) -> Image.Image:
    shape = Image.new("L", size)
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), size[0] // 5, fill=255)
    return shape


def soft(size: tuple[int, int]) -> Image.Image:
    shape = Image.new("L", size)
    shape.paste(255, (10, 10, size[0] - 10, size[1] - 10))
    return shape.filter(ImageFilter.GaussianBlur(4))


def turned(sheet: Image.Image) -> Image.Image:
    return with_margin(sheet, 0, 0, 0, 0).rotate(14, Image.Resampling.BICUBIC, expand=True)


def with_shadow(sheet: Image.Image) -> Image.Image:
    picture = with_margin(sheet, 20, 20, 20, 20)
    dark = picture.getchannel("A").filter(ImageFilter.GaussianBlur(8)).point(lambda cover: cover // 2)
    shadow = Image.new("RGBA", picture.size)
    shadow.putalpha(ImageChops.offset(dark, 5, 5))
    return Image.alpha_composite(shadow, picture)


def framed(sheet: Image.Image) -> Image.Image:
    """In the colour of the middle of a stroke: the corner's, turned over, is near enough."""
    red, green, blue = np.asarray(sheet)[0, 0].tolist()
    ImageDraw.Draw(sheet).rectangle((0, 0, 199, 199), outline=(255 - red, 255 - green, 255 - blue), width=4)
    return with_margin(sheet, 8, 8, 8, 8)


SHEETS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "round corners": lambda sheet: with_margin(sheet, 8, 8, 8, 8, shape=rounded(sheet.size)),
    "soft edges": lambda sheet: with_margin(sheet, 8, 8, 8, 8, under=(0, 0, 0), shape=soft(sheet.size)),
    "turned": turned,
    "shadow": with_shadow,
    "frame": framed,
    "grey with alpha": lambda sheet: with_margin(sheet, 8, 8, 8, 8).convert("LA"),
    "translucent": lambda sheet: Image.blend(
        Image.new("RGBA", (216, 216)), with_margin(sheet, 8, 8, 8, 8), 0.6
    ),
}


@pytest.mark.parametrize("sheet", SHEETS)
@pytest.mark.parametrize("colours", BOTH)
def test_sheets_of_any_shape(sheet: str, colours: str, digits: Digits, model: Predictor) -> None:
    pictures = [SHEETS[sheet](drawn(cover, colours)) for cover in covers(digits, 200)]
    assert right_answers(model, map(opaque, pictures), digits.labels) >= len(pictures) - 1


def test_a_palette_s_transparent_margin(digits: Digits, model: Predictor) -> None:
    pictures = []
    for cover in covers(digits, 200):
        sheet = drawn(cover, "white on black").quantize(16)
        picture = Image.new("P", (230, 230), 255)
        picture.putpalette(sheet.getpalette() or [])
        picture.paste(sheet, (15, 15))
        picture.info["transparency"] = 255
        pictures.append(picture)
    assert right_answers(model, map(opaque, pictures), digits.labels) >= len(pictures) - 1


def test_a_cut_out_photograph_keeps_its_light(digits: Digits, model: Predictor) -> None:
    """A ground that is not of one colour is continued as it is beside every edge."""
    y, x = np.mgrid[0:200, 0:200] / 200
    light = 230 - 110 / (1 + np.exp(-(x + 0.6 * y - 0.9) * 12))
    pictures = []
    for cover in covers(digits, 200):
        share = np.asarray(cover) / 255
        levels = (light * (1 - share) + 40 * share).astype(np.uint8)
        pictures.append(turned(Image.fromarray(levels).convert("RGB")))
    assert right_answers(model, map(opaque, pictures), digits.labels) >= len(pictures) - 1


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 0, 0), (255, 240, 120)], ids=str)
def test_ink_on_nothing_is_read(colour: Colour, side: int, digits: Digits, model: Predictor) -> None:
    pictures = []
    for cover in covers(digits, side, 0.9):
        ink = Image.new("RGBA", cover.size, colour)
        ink.putalpha(cover)
        pictures.append(ink)
    assert right_answers(model, map(opaque, pictures), digits.labels) >= len(pictures) - 1


def test_an_outline_is_ground_for_what_it_surrounds(digits: Digits, model: Predictor) -> None:
    """Yellow with a dark outline, as on a sticker."""
    pictures = []
    for cover in covers(digits, 280):
        filled = Image.composite(
            Image.new("RGB", cover.size, (255, 200, 0)), Image.new("RGB", cover.size, (120, 0, 0)), cover
        )
        filled.putalpha(cover.filter(ImageFilter.MaxFilter(9)))
        pictures.append(filled)
    assert right_answers(model, map(opaque, pictures), digits.labels) >= len(pictures) - 1


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("margin", [0, 20])
def test_a_digit_cut_out_of_a_sheet_is_read(
    level: int, margin: int, digits: Digits, model: Predictor
) -> None:
    pictures = [
        with_margin(
            Image.new("RGB", cover.size, (level,) * 3), *4 * (margin,), shape=ImageChops.invert(cover)
        )
        for cover in covers(digits, 200)
    ]
    assert right_answers(model, map(opaque, pictures), digits.labels) >= len(pictures) - 1


@pytest.mark.parametrize("level", [0, 255])
def test_an_empty_sheet_with_a_margin_is_blank(level: int) -> None:
    with pytest.raises(BlankImage):
        prepare(opaque(with_margin(Image.new("RGB", (200, 200), (level,) * 3), 8, 8, 8, 8)))


def test_nothing_at_all_is_blank() -> None:
    with pytest.raises(BlankImage):
        prepare(opaque(Image.new("RGBA", (60, 40))))


def test_what_is_opaque_is_as_it_came(digits: Digits) -> None:
    picture = drawn(covers(digits, 64)[0], "yellow on blue")
    assert opaque(picture.convert("RGBA")).tobytes() == picture.tobytes()


def test_of_very_many_pixels_no_copy_is_made(digits: Digits, model: Predictor) -> None:
    """The copy would be as large as the picture: it is made smaller on the way."""
    side = int(WHOLE**0.5) + 10
    sheet = with_margin(drawn(covers(digits, 200)[1], "white on black"), 8, 8, 8, 8)
    small = opaque(sheet.resize((side, side), Image.Resampling.NEAREST))
    assert small.size == (side // 2, side // 2)
    assert right_answers(model, [small], digits.labels[1:]) == 1
