"""A digit in a box, or on a plate, well inside the picture; and digits that look like one."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from service.engine.predictor import Predictor
from service.errors import BlankImage
from service.pictures.digits.components import components_of
from service.pictures.digits.preparation import prepare
from service.pictures.digits.printed.fields import field_in, plate_in
from tests.conftest import Digits
from tests.pictures.digits.drawings import answers, on_desk, right_answers, thickened

SIDES = [64, 140, 280, 560, 1000]
Random = np.random.Generator
Drawn = Callable[[Image.Image, int, float], Image.Image]  # a digit's ink, a side, how far inside: shares


def with_digit(sheet: Image.Image, ink: Image.Image, inset: float, level: int = 0) -> Image.Image:
    """So far inside that it has a margin of a fifth of the field."""
    high = round(sheet.width * (1 - 2 * inset) * 0.6)
    width = max(1, ink.width * high // max(ink.size))
    digit = ink.resize((width, max(1, ink.height * high // max(ink.size))), Image.Resampling.BICUBIC)
    sheet.paste(level, ((sheet.width - digit.width) // 2, (sheet.height - digit.height) // 2), digit)
    return sheet


def corners(side: int, inset: float) -> list[int]:
    start = round(inset * side)
    return [start, start, side - start - 1, side - start - 1]


def in_box(share: float) -> Drawn:
    def drawn(ink: Image.Image, side: int, inset: float) -> Image.Image:
        sheet = Image.new("L", (side, side), 255)
        width = max(1, round(share * side))
        ImageDraw.Draw(sheet).rectangle(corners(side, inset), outline=0, width=width)
        return with_digit(sheet, ink, inset + share / 2)

    return drawn


def aslant(ink: Image.Image, side: int, inset: float) -> Image.Image:
    box = in_box(0.03)(Image.new("L", (1, 1)), side, inset).rotate(
        3, Image.Resampling.BICUBIC, fillcolor=255
    )
    return with_digit(box, ink, inset + 0.03)


def of_the_other_polarity(inset: float) -> Drawn:
    """A light box around dark ink on grey, or a light frame at the border."""

    def drawn(ink: Image.Image, side: int, of_digit: float) -> Image.Image:
        sheet = Image.new("L", (side, side), 140)
        box = corners(side, inset if inset < of_digit else of_digit)
        ImageDraw.Draw(sheet).rectangle(box, outline=255, width=max(1, side // 40))
        return with_digit(sheet, ink, of_digit + 0.025, 20)

    return drawn


def on_plate(ground: int, plate: int, ink_level: int) -> Drawn:
    def drawn(ink: Image.Image, side: int, inset: float) -> Image.Image:
        sheet = Image.new("L", (side, side), ground)
        ImageDraw.Draw(sheet).rectangle(corners(side, inset), fill=plate)
        return with_digit(sheet, ink, inset, ink_level)

    return drawn


FIELDS: dict[str, Drawn] = {
    "box of 1 %": in_box(0.015),
    "box of 4 %": in_box(0.04),
    "box of 8 %": in_box(0.08),
    "box aslant": aslant,
    "light box": of_the_other_polarity(1),
    "light frame": of_the_other_polarity(0),
    "plate": on_plate(0, 255, 0),
    "plate on grey": on_plate(90, 250, 20),
}


@pytest.mark.parametrize("inset", [0.12, 0.22])
@pytest.mark.parametrize("field", FIELDS)
def test_a_digit_in_a_field_is_read(field: str, inset: float, digits: Digits, model: Predictor) -> None:
    pictures = []
    for number, image_u8 in enumerate(digits.images_u8[:20]):
        ink = Image.fromarray(image_u8)
        picture = FIELDS[field](ink.crop(ink.getbbox()), SIDES[number // 2 % 5], inset)
        pictures.append(ImageOps.invert(picture) if number % 2 else picture)
    assert right_answers(model, pictures, digits.labels) >= len(pictures) - 1


def on_sheet(image_u8: NDArray[np.uint8], high: float, random: Random) -> Image.Image:
    """Somewhere on it, with MNIST's border as `high`, a share of the sheet's height."""
    across, down = int(random.integers(250, 600)), int(random.integers(200, 450))
    side = round(high * down)
    x, y = (round((room - side) * random.uniform(0.2, 0.8)) for room in (across, down))
    sheet = Image.new("L", (across, down), 235)
    sheet.paste(40, (x, y), Image.fromarray(image_u8).resize((side, side), Image.Resampling.BICUBIC))
    return sheet


@pytest.mark.parametrize("turned", [0, 2])
@pytest.mark.parametrize(("high", "least"), [(0.3, 18), (0.45, 24), (0.6, 28)])
def test_a_digit_on_a_sheet_on_a_desk_is_read(
    high: float, least: int, turned: float, digits: Digits, model: Predictor
) -> None:
    random = np.random.default_rng(0)
    pictures = [on_desk(on_sheet(one, high, random), turned, random) for one in digits.images_u8[:30]]
    pictures = [ImageOps.invert(one) if number % 2 else one for number, one in enumerate(pictures)]
    assert right_answers(model, pictures, digits.labels) >= least


@pytest.mark.parametrize("side", SIDES)
def test_the_box_of_a_digit_is_told_in_the_whole_picture(side: int, digits: Digits) -> None:
    ink = Image.fromarray(digits.images_u8[0])
    prepared = prepare(in_box(0.04)(ink.crop(ink.getbbox()), side, 0.15))
    assert not prepared.ink_is_light
    left, top, right, bottom = prepared.box
    assert (top, bottom) == pytest.approx((0.31, 0.69), abs=0.03)
    assert 0.25 < left < right < 0.75


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("plates", [2, 3, 4])
def test_fields_in_fields_come_to_an_end(plates: int, side: int, digits: Digits) -> None:
    sheet = Image.new("L", (side, side), 255)
    for number in range(plates):
        box = corners(side, 0.06 + 0.08 * number)
        ImageDraw.Draw(sheet).rectangle(box, fill=255 * (number % 2))
    assert prepare(with_digit(sheet, Image.fromarray(digits.images_u8[0]), 0.3, 128)).pixels


@pytest.mark.parametrize("side", SIDES)
def test_a_field_that_is_empty_is_no_digit(side: int, model: Predictor) -> None:
    nothing = Image.new("L", (1, 1))
    score = model.manifest.output.score
    assert score
    for field in FIELDS.values():
        picture = field(nothing, side, 0.2)
        for digit, of_picture in answers(model, [picture, ImageOps.invert(picture)]):
            assert digit == -1 or of_picture > score.threshold


@pytest.mark.parametrize("side", SIDES)
def test_only_a_box_with_straight_sides_is_empty(side: int) -> None:
    """One that is round by a third of its side may be a zero."""
    box = corners(side, 0.2)
    for width, radius in ((0.06, 0.2), (0.1, 0.2), (0.05, 0.3)):
        picture = Image.new("L", (side, side), 255)
        ImageDraw.Draw(picture).rounded_rectangle(
            box, radius=radius * side, outline=0, width=max(1, round(width * side))
        )
        assert prepare(picture).pixels
    picture = in_box(0.04)(Image.new("L", (1, 1)), side, 0.2)
    with pytest.raises(BlankImage):
        prepare(picture)


@pytest.mark.parametrize("side", SIDES)
def test_a_box_that_has_gaps_may_be_empty(side: int) -> None:
    """One that lacks a side is none; its corners alone are one."""
    whole = in_box(0.04)(Image.new("L", (1, 1)), side, 0.2)
    gap = (round(0.4 * side), round(0.6 * side))
    for box in ((gap[0], 0, gap[1], side), (0, gap[0], side // 2, gap[1])):
        picture = whole.copy()
        picture.paste(255, box)
        for either in (picture, ImageOps.invert(picture)):
            with pytest.raises(BlankImage):
                prepare(either)
    picture = whole.copy()
    picture.paste(255, (round(0.3 * side), 0, round(0.7 * side), side // 2))
    assert prepare(picture).pixels
    corners, (start, end) = whole.copy(), (round(0.37 * side), round(0.63 * side))
    corners.paste(255, (start, 0, end, side))
    assert prepare(corners).pixels, "two sides"
    corners.paste(255, (0, start, side, end))
    for either in (corners, ImageOps.invert(corners)):
        with pytest.raises(BlankImage):
            prepare(either)


def zero(side: int, within: str) -> Image.Image:
    """Large, round or square, and what may stand in a zero."""
    sheet = Image.new("L", (side, side), 255)
    drawing, middle, width = ImageDraw.Draw(sheet), side / 2, max(2, side // 20)
    box = (0.22 * side, 0.1 * side, 0.78 * side, 0.9 * side)
    (drawing.rectangle if "square" in within else drawing.ellipse)(box, outline=0, width=width)
    if "dot" in within:
        reach = 0.05 * side
        drawing.ellipse((middle - reach, middle - reach, middle + reach, middle + reach), fill=0)
    if "bar" in within:
        drawing.line((0.4 * side, 0.66 * side, 0.6 * side, 0.34 * side), fill=0, width=width)
    if "circle" in within:
        drawing.ellipse((0.36 * side, 0.3 * side, 0.64 * side, 0.7 * side), outline=0, width=width)
    return sheet


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("within", ["", "dot", "bar", "circle", "square", "square, dot"])
def test_a_zero_is_no_field(within: str, side: int) -> None:
    picture = zero(side, within)
    for either in (picture, ImageOps.invert(picture)):
        left, top, right, bottom = prepare(either).box
        assert (left, top) == pytest.approx((0.22, 0.1), abs=0.04)
        assert (right, bottom) == pytest.approx((0.78, 0.9), abs=0.04)


@pytest.mark.parametrize("thicker", [1, 9, 21])
def test_no_digit_that_fills_its_picture_is_a_field(thicker: int, digits: Digits) -> None:
    for image_u8 in digits.images_u8[:60]:
        ink = Image.fromarray(image_u8).resize((252, 252), Image.Resampling.BICUBIC)
        sheet = Image.new("L", (280, 280))
        sheet.paste(thickened(ink, thicker), (14, 14))
        for side in (56, 140):
            small = sheet.resize((side, side), Image.Resampling.BOX)
            assert plate_in(small) is None
            assert plate_in(ImageOps.invert(small)) is None
        on_ink = np.asarray(sheet.resize((56, 56), Image.Resampling.BOX)) > 64
        assert field_in(on_ink, components_of(on_ink), on_ink.size) is None
