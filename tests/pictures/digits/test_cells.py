"""Digits in cells of printed grids, lines of the grid left; and digits that have such lines themselves."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from service.engine.predictor import Predictor
from service.pictures.digits.cells import without_cell_lines
from service.pictures.digits.preparation import prepare
from tests.conftest import Digits
from tests.pictures.digits.drawings import Pixels, right_answers

SIDES = [48, 100, 280, 700]


def cell(image_u8: Pixels, side: int, sides: str, aslant: float, wide: float, blur: float) -> Image.Image:
    """Dark on grey; `aslant`, `wide` and `blur` in shares of the side, the lines 6 % inside."""
    sheet, high = Image.new("L", (side, side)), round(0.8 * side)
    digit = Image.fromarray(image_u8).resize((high, high), Image.Resampling.BICUBIC)
    sheet.paste(digit, ((side - high) // 2, (side - high) // 2))
    near, far = (0.06 - aslant / 2) * side, (0.06 + aslant / 2) * side
    for edge in sides:
        first, last = (near, far) if edge in "lt" else (side - 1 - near, side - 1 - far)
        ends = (first, 0, last, side) if edge in "lr" else (0, first, side, last)
        ImageDraw.Draw(sheet).line(ends, fill=255, width=max(1, round(wide * side)))
    return sheet.filter(ImageFilter.GaussianBlur(blur * side)).point(
        [210 - level // 2 for level in range(256)]
    )


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("sides", ["l", "tb", "lrb", "lrtb"])
@pytest.mark.parametrize("aslant", [0, 0.03, -0.03])
def test_a_digit_in_a_cell_is_read(
    aslant: float, sides: str, side: int, digits: Digits, model: Predictor
) -> None:
    pictures = []
    for number, image_u8 in enumerate(digits.images_u8[:12]):
        picture = cell(image_u8, side, sides, aslant, (0.015, 0.03, 0.05)[number % 3], 0.01 * (number % 2))
        pictures.append(ImageOps.invert(picture) if number // 2 % 2 else picture)
    assert right_answers(model, pictures, digits.labels) >= len(pictures) - 1


@pytest.mark.parametrize("side", SIDES)
def test_a_line_that_the_digit_crosses_goes(side: int) -> None:
    sheet = Image.new("L", (side, side), 255)
    drawing = ImageDraw.Draw(sheet)
    drawing.line((0.5 * side, 0.02 * side, 0.5 * side, 0.8 * side), fill=0, width=round(0.08 * side))
    drawing.line((0, 0.1 * side, side, 0.12 * side), fill=0, width=max(1, round(0.03 * side)))
    for picture in (sheet, ImageOps.invert(sheet)):
        left, top, right, bottom = prepare(picture).box
        assert (top, bottom) == pytest.approx((0.02, 0.8), abs=0.04)
        assert 0.42 < left < right < 0.58


@pytest.mark.parametrize("side", [72, 140, 279])  # those at which ink is looked for
@pytest.mark.parametrize("wide", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("stroke", ["7", "2", "1 with a foot"])
def test_strokes_along_the_border_of_what_is_cut_off_at_the_ink_stay(
    stroke: str, wide: float, side: int
) -> None:
    strokes: dict[str, list[tuple[float, float]]] = {
        "7": [(0, 0), (1, 0), (0.4, 1)],
        "2": [(0.1, 0), (0.9, 0.2), (0.1, 1), (0, 1), (1, 1)],
        "1 with a foot": [(0.3, 0.2), (0.5, 0), (0.5, 1), (0, 1), (1, 1)],
    }
    width = max(1, round(wide * side))
    ink = Image.new("L", (side, side))
    inner = side - width
    path = [(width // 2 + x * inner, width // 2 + y * inner) for x, y in strokes[stroke]]
    ImageDraw.Draw(ink).line(path, fill=255, width=width)
    ink = ink.crop(ink.getbbox())
    assert without_cell_lines(ink, 255) is ink


def test_lines_alone_stay_for_what_tells_that_there_is_no_digit() -> None:
    empty = np.zeros((28, 28), dtype=np.uint8)
    for side in SIDES:
        lines = ImageOps.invert(cell(empty, side, "lrtb", 0.02, 0.03, 0))
        assert without_cell_lines(lines, 255) is lines
