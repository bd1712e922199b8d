"""A digit beside straight lines that do not touch it; and digits whose own straight strokes stand apart."""

import pytest
from PIL import Image, ImageDraw, ImageOps

from service.engine.predictor import Predictor
from service.pictures.digits.preparation import prepare
from tests.conftest import Digits
from tests.pictures.digits.drawings import answers, right_answers

SIDES = [28, 64, 140, 400, 1120]
Lines = list[tuple[float, ...]]  # from x, y to x, y and on, in shares of the side

NEAR, FAR = 0.15, 0.85


def corners(arm: float) -> Lines:
    """Of a box."""
    return [
        line
        for x, across in ((NEAR, arm), (FAR, -arm))
        for y, down in ((NEAR, arm), (FAR, -arm))
        for line in ((x, y, x + across, y), (x, y, x, y + down))
    ]


LEFT, RIGHT = (NEAR, NEAR, NEAR, FAR), (FAR, NEAR, FAR, FAR)
UPPER, LOWER = (NEAR, NEAR, FAR, NEAR), (NEAR, FAR, FAR, FAR)
LINES: dict[str, Lines] = {
    "corners": corners(0.2),
    "two corners": corners(0.15)[:4],
    "box with gaps": [
        (0.4, NEAR, NEAR, NEAR, NEAR, FAR, 0.6, FAR),
        (0.5, NEAR, FAR, NEAR, FAR, FAR, 0.7, FAR),
    ],
    "dashes": [(x, y, x + 0.06, y) for y in (NEAR, FAR) for x in (0.15, 0.27, 0.39, 0.51, 0.63, 0.75)],
    "left and right": [LEFT, RIGHT],
    "above and below": [UPPER, LOWER],
    "three sides": [LEFT, LOWER, RIGHT],
    "two sides": [LEFT, LOWER],
    "underline": [(0.1, 0.84, 0.9, 0.85)],
    "two underlines": [(0.1, 0.84, 0.9, 0.84), (0.1, 0.92, 0.9, 0.92)],
    "line above": [(0.1, 0.16, 0.9, 0.15)],
    "comb": [(0.2, 0.84, 0.8, 0.84), (0.2, 0.84, 0.2, 0.6), (0.8, 0.84, 0.8, 0.6)],
    "grid": [
        (0.05, 0.2, 0.95, 0.2), (0.05, 0.8, 0.95, 0.8), (0.2, 0.05, 0.2, 0.95), (0.8, 0.05, 0.8, 0.95),
    ],
}  # fmt: skip


def with_lines(lines: Lines, side: int, width: int, ink: Image.Image | None = None) -> Image.Image:
    """Black on white, and so is a digit amid them, of two fifths of the side."""
    sheet = Image.new("L", (side, side), 255)
    for line in lines:
        ends = [round(share * side) for share in line]
        ImageDraw.Draw(sheet).line(ends, fill=0, width=width)
    if ink:
        scale = 0.44 * side / max(ink.size)
        digit = ink.resize((round(ink.width * scale), round(ink.height * scale)), Image.Resampling.BICUBIC)
        sheet.paste(0, ((side - digit.width) // 2, (side - digit.height) // 2), digit)
    return sheet


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("share", [0.004, 0.02])
def test_a_digit_beside_lines_is_read(kind: str, share: float, digits: Digits, model: Predictor) -> None:
    pictures = []
    for number, image_u8 in enumerate(digits.images_u8[:20]):
        ink, side = Image.fromarray(image_u8), SIDES[number // 2 % 5]
        picture = with_lines(LINES[kind], side, max(1, round(share * side)), ink.crop(ink.getbbox()))
        pictures.append(ImageOps.invert(picture) if number % 2 else picture)
    assert right_answers(model, pictures, digits.labels) >= len(pictures) - 1


@pytest.mark.parametrize("kind", sorted(LINES.keys() - {"dashes"}))
def test_lines_alone_are_no_digit(kind: str, model: Predictor) -> None:
    pictures = [with_lines(LINES[kind], side, max(1, side // 50)) for side in SIDES]
    score = model.manifest.output.score
    assert score
    for digit, of_picture in answers(model, [*pictures, *map(ImageOps.invert, pictures)]):
        assert digit == -1 or of_picture > score.threshold


SEGMENTS = {
    "a": (0.32, 0.1, 0.68, 0.1),
    "b": (0.7, 0.13, 0.7, 0.47),
    "c": (0.7, 0.53, 0.7, 0.87),
    "d": (0.32, 0.9, 0.68, 0.9),
    "e": (0.3, 0.53, 0.3, 0.87),
    "f": (0.3, 0.13, 0.3, 0.47),
    "g": (0.33, 0.5, 0.67, 0.5),
}
SEVEN = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcfgd")
ROUND = (0.3, 0.35, 0.3, 0.65, 0.45, 0.9, 0.55, 0.9, 0.7, 0.65, 0.7, 0.35, 0.55, 0.1, 0.45, 0.1, 0.3, 0.35)
APART: dict[str, Lines] = {
    **{f"{digit} of segments": [SEGMENTS[name] for name in names] for digit, names in enumerate(SEVEN)},
    "1 on its foot": [(0.5, 0.1, 0.5, 0.85), (0.25, 0.93, 0.75, 0.93)],
    "4 of two strokes": [(0.3, 0.1, 0.3, 0.55, 0.62, 0.55), (0.7, 0.05, 0.7, 0.95)],
    "4 of a cup and a stem": [(0.3, 0.1, 0.3, 0.5, 0.7, 0.5, 0.7, 0.1), (0.7, 0.6, 0.7, 0.95)],
    "5 under its roof": [(0.3, 0.2, 0.3, 0.5, 0.7, 0.5, 0.7, 0.9, 0.3, 0.9), (0.25, 0.1, 0.85, 0.1)],
    "2 on its foot": [(0.3, 0.1, 0.7, 0.1, 0.7, 0.35, 0.3, 0.83), (0.2, 0.92, 0.8, 0.92)],
    "7 with a bar": [(0.2, 0.1, 0.8, 0.1, 0.45, 0.9), (0.3, 0.5, 0.8, 0.5)],
    "0 around a slash": [ROUND, (0.42, 0.65, 0.58, 0.35)],
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("digit", APART)
def test_a_digit_keeps_strokes_of_its_own(digit: str, side: int) -> None:
    lines = APART[digit]
    xs, ys = ([share for line in lines for share in line[axis::2]] for axis in (0, 1))
    for share in (0.04, 0.07):
        picture = with_lines(lines, side, max(1, round(share * side)))
        for either in (picture, ImageOps.invert(picture)):
            left, top, right, bottom = prepare(either).box
            assert (left, top) == pytest.approx((min(xs), min(ys)), abs=0.05 + 1.5 / side)
            assert (right, bottom) == pytest.approx((max(xs), max(ys)), abs=0.05 + 1.5 / side)
