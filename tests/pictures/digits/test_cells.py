"""Digits in cells of printed grids, lines of the grid left; and digits that have such lines themselves."""

from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from service.engine.predictor import Predictor
from service.pictures.digits.ground import at_work_size, find_ink
from service.pictures.digits.preparation import prepare
from service.pictures.digits.printed.cells import without_cell_lines
from tests.conftest import Digits
from tests.pictures.digits.drawings import Pixels, answers, right_answers, thickened
from training.digits.digit_recipe import SCORE_THRESHOLD

SIDES = [48, 100, 280, 700]


def cell(
    image_u8: Pixels, side: int, sides: str, aslant: float, wide: float, blur: float, near: float = 0.06
) -> Image.Image:
    """Dark on grey; in shares of the side, lines so `near` the border, and so much `aslant`."""
    sheet, high = Image.new("L", (side, side)), round(0.8 * side)
    digit = Image.fromarray(image_u8).resize((high, high), Image.Resampling.BICUBIC)
    sheet.paste(digit, ((side - high) // 2, (side - high) // 2))
    start, end = (near - aslant / 2) * side, (near + aslant / 2) * side
    for edge in sides:
        first, last = (start, end) if edge in "lt" else (side - 1 - start, side - 1 - end)
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


@pytest.mark.parametrize("side", SIDES)
def test_a_single_line_at_the_left_goes_though_the_digit_reaches_the_right(side: int) -> None:
    """As far from the line as strokes of one digit may be."""
    sheet = Image.new("L", (side, side), 200)
    drawing = ImageDraw.Draw(sheet)
    drawing.line((0.04 * side, 0, 0.08 * side, side), fill=60, width=round(0.06 * side))
    drawing.arc([side * edge for edge in (0.3, 0.1, 1.05, 0.9)], 20, 340, fill=60, width=round(0.08 * side))
    for picture in (sheet, ImageOps.invert(sheet)):
        left, *_ = prepare(picture).box
        assert left == pytest.approx(0.3, abs=0.04)


def test_lines_alone_stay_for_what_tells_that_there_is_no_digit() -> None:
    empty = np.zeros((28, 28), dtype=np.uint8)
    for side in SIDES:
        lines = ImageOps.invert(cell(empty, side, "lrtb", 0.02, 0.03, 0))
        assert without_cell_lines(lines, 255) is lines


@pytest.mark.parametrize("side", [52, 68, 90, 110])
@pytest.mark.parametrize("sides", ["l", "r", "lr", "lt", "lrtb"])
def test_thin_lines_of_an_empty_cell_are_no_one(sides: str, side: int, model: Predictor) -> None:
    """On paper that is grainy and not evenly lit, and whose grain is no stroke."""
    random, empty = np.random.default_rng(side), np.zeros((28, 28), dtype=np.uint8)
    pictures = []
    for near in np.linspace(0.03, 0.1, 8):
        lines = np.asarray(cell(empty, side, sides, 0.04 * random.uniform(-1, 1), 0, 0, near)).astype(float)
        light = np.linspace(0, random.uniform(10, 60), side)
        paper = (lines - light + random.normal(0, 3, lines.shape)).clip(0, 255).astype(np.uint8)
        pictures += [Image.fromarray(paper), Image.fromarray(255 - paper)]
    read = [digit for digit, score in answers(model, pictures) if digit >= 0 and score < SCORE_THRESHOLD]
    assert read == []


@pytest.mark.parametrize("side", [40, *SIDES])
@pytest.mark.parametrize("sides", ["l", "tb", "lrtb"])
def test_lines_that_leave_the_picture_are_ink_from_end_to_end(sides: str, side: int) -> None:
    """Aslant, half of each within the picture, on paper that is not evenly lit."""
    one, empty = np.zeros((2, 28, 28), dtype=np.uint8)
    one[6:22, 12:16] = 255
    drawn = np.asarray(cell(one, side, sides, 0.04, 0.04, 0, near=0.01)).astype(float)
    lines = np.asarray(cell(empty, side, sides, 0.04, 0.04, 0, near=0.01)) < 120
    seen = Image.fromarray((drawn - np.linspace(0, 40, side)).astype(np.uint8))
    for picture in (seen, ImageOps.invert(seen)):
        work = at_work_size(picture)
        ink = find_ink(work)
        assert not ink.is_flat
        on_line = np.asarray(Image.fromarray(lines.view(np.uint8) * np.uint8(255)).resize(work.size)) > 250
        assert np.quantile(np.asarray(ink.image)[on_line], 0.05) > 0.3 * ink.peak


@pytest.mark.parametrize("side", [40, *SIDES])
@pytest.mark.parametrize("edge", ["t", "b"])
def test_strokes_that_end_in_a_line_end_at_its_far_side(edge: str, side: int) -> None:
    """Drawn with the foot or the roof over it."""
    wide = max(2, round(0.06 * side))
    at = round((0.05 if edge == "t" else 0.93) * side)
    sheet = Image.new("L", (side, side), 200)
    drawing = ImageDraw.Draw(sheet)
    drawing.line((0, at, side, at), fill=60, width=max(1, wide // 2))
    inner = at + (wide // 2 if edge == "t" else -(wide // 2))
    drawing.line((0.3 * side, inner, 0.7 * side, inner), fill=60, width=2 * wide)
    drawing.line((0.5 * side, inner, 0.5 * side, 0.5 * side), fill=60, width=wide)
    for picture in (sheet, ImageOps.invert(sheet)):
        left, top, right, bottom = prepare(picture).box
        assert (left, right) == pytest.approx((0.3, 0.7), abs=0.08)
        end, expected = (top, at / side - 0.04) if edge == "t" else (bottom, at / side + 0.04)
        assert end == pytest.approx(expected, abs=0.06)


def test_a_digit_in_two_lines_may_reach_the_border_across(digits: Digits, model: Predictor) -> None:
    pictures = []
    for number, image_u8 in enumerate(digits.images_u8[:20]):
        side = (48, 100, 140, 280, 700)[number // 2 % 5]
        picture = cell(np.zeros_like(image_u8), side, "tr", 0.02, 0.03, 0.005)
        ink = Image.fromarray(image_u8)
        ink = ink.crop(ink.getbbox())
        high = round(0.7 * side)
        ink = ink.resize((ink.width * high // ink.height, high), Image.Resampling.BICUBIC)
        picture.paste(80, ((side - ink.width) // 3, side - high), ink)
        pictures.append(ImageOps.invert(picture) if number % 2 else picture)
    assert right_answers(model, pictures, digits.labels) >= len(pictures) - 1


@pytest.mark.parametrize("side", [60, 90, 140, 280])
@pytest.mark.parametrize(("digit", "edge"), [(7, "t"), (2, "b")])
def test_a_stroke_along_a_line_is_of_the_digit(digit: int, edge: str, side: int, model: Predictor) -> None:
    """A roof or a foot as thin as the line beside it, or on it by a fifth; without it a 7 were a 1."""
    random, fine = np.random.default_rng(side), 4
    strokes = {7: [(0.3, 0), (0.7, 0), (0.45, 0.8)], 2: [(0.3, 0.65), (0.65, 0.75), (0.3, 0), (0.72, 0)]}
    pictures = []
    for number in range(12):
        high, wide = fine * side, round(fine * side * random.uniform(0.02, 0.03))
        line, beside = random.uniform(0.06, 0.1), wide * random.uniform(0.8, 1.5) / high
        sheet = Image.new("L", (high, high))
        pen = ImageDraw.Draw(sheet)
        path = [(x, line + beside + y) for x, y in strokes[digit]]
        inward = [(high * x, high * (y if edge == "t" else 1 - y)) for x, y in path]
        pen.line(inward, fill=255, width=wide, joint="curve")
        level = high * (line if edge == "t" else 1 - line)
        pen.line((0, level - 0.01 * high, high, level + 0.01 * high), fill=220, width=wide)
        ink = np.asarray(sheet.resize((side, side), Image.Resampling.BOX)).astype(float)
        seen = 200 - 0.5 * ink - np.linspace(0, 30, side) + random.normal(0, 2, ink.shape)
        picture = Image.fromarray(seen.clip(0, 255).astype(np.uint8))
        pictures.append(ImageOps.invert(picture) if number % 2 else picture)
    assert right_answers(model, pictures, np.full(12, digit)) >= 11


@cache
def broadened(image: bytes, wider: int) -> Pixels:
    """[28, 28]. `wider`: of 140 pixels."""
    large = Image.frombytes("L", (28, 28), image).resize((140, 140), Image.Resampling.BICUBIC)
    return np.asarray(thickened(large, wider).resize((28, 28), Image.Resampling.BOX))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("wider", "sides"), [(15, ""), (15, "lrtb"), (21, ""), (21, "l"), (21, "lrtb"), (27, ""), (27, "l")]
)
def test_strokes_wider_than_the_ground_beside_them_are_ink(
    wider: int, sides: str, side: int, digits: Digits
) -> None:
    """On paper that is not evenly lit. `wider`: of 140 pixels."""
    seen = []
    for image_u8 in digits.images_u8[:20]:
        thick = broadened(image_u8.tobytes(), wider)
        drawn = np.asarray(cell(thick, side, sides, 0.02, 0.015, 0.01, near=0.05)).astype(float)
        dark = Image.fromarray((drawn - np.linspace(0, 60, side)).astype(np.uint8))
        seen += [not prepare(dark).ink_is_light, prepare(ImageOps.invert(dark)).ink_is_light]
    assert sum(seen) >= len(seen) - 1
