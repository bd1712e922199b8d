"""A digit on a line, or struck through by one; and digits that have such lines of their own."""

from contextlib import suppress

import pytest
from PIL import Image, ImageDraw, ImageOps

from service.engine.predictor import Predictor
from service.errors import BlankImage
from service.pictures.digits.preparation import prepare
from tests.conftest import Digits
from tests.pictures.digits.drawings import right_answers

SIDES = [28, 64, 140, 400, 1120]
Strokes = list[tuple[float, ...]]  # from x, y to x, y and on, in shares of the side

LINES: dict[str, tuple[float, ...]] = {
    "at its feet": (0.1, 0.75, 0.9, 0.75),
    "near its feet": (0.08, 0.72, 0.88, 0.73),
    "above its middle": (0.1, 0.42, 0.9, 0.41),
    "below its middle": (0.05, 0.6, 0.95, 0.6),
}


def drawn(strokes: Strokes, side: int, width: int, aslant: float = 0) -> Image.Image:
    """Black on white."""
    sheet = Image.new("L", (side, side), 255)
    for stroke in strokes:
        ImageDraw.Draw(sheet).line([share * side for share in stroke], fill=0, width=width)
    return sheet.rotate(aslant, Image.Resampling.BICUBIC, fillcolor=255)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("share", [0.004, 0.02])
def test_a_digit_on_a_line_is_read(line: str, share: float, digits: Digits, model: Predictor) -> None:
    pictures = []
    for number, image_u8 in enumerate(digits.images_u8[:30]):
        side, ink = SIDES[number // 2 % 5], Image.fromarray(image_u8)
        picture = drawn([LINES[line]], side, max(1, round(share * side)))
        digit = ink.crop(ink.getbbox())
        scale = side / 2 / max(digit.size)
        digit = digit.resize(
            (round(digit.width * scale), round(digit.height * scale)), Image.Resampling.BICUBIC
        )
        picture.paste(0, ((side - digit.width) // 2, (side - digit.height) // 2), digit)
        pictures.append(ImageOps.invert(picture) if number % 2 else picture)
    assert right_answers(model, pictures, digits.labels) >= len(pictures) - 2


OWN: dict[str, Strokes] = {
    "1": [(0.5, 0.1, 0.5, 0.9)],
    "1 on its foot": [(0.3, 0.3, 0.5, 0.1, 0.5, 0.9), (0.2, 0.9, 0.8, 0.9)],
    "2 on its foot": [(0.3, 0.25, 0.45, 0.1, 0.65, 0.2, 0.3, 0.9), (0.12, 0.9, 0.88, 0.9)],
    "4": [(0.65, 0.9, 0.65, 0.1, 0.15, 0.62, 0.9, 0.62)],
    "open 4": [(0.25, 0.25, 0.25, 0.6, 0.85, 0.6), (0.65, 0.1, 0.65, 0.9)],
    "7": [(0.15, 0.1, 0.85, 0.1, 0.4, 0.9)],
    "7 with a bar": [(0.25, 0.1, 0.7, 0.1, 0.45, 0.9), (0.15, 0.5, 0.85, 0.5)],
    "9": [(0.65, 0.2, 0.4, 0.1, 0.3, 0.3, 0.45, 0.45, 0.65, 0.35), (0.65, 0.1, 0.65, 0.9)],
    "4 of segments": [(0.3, 0.1, 0.3, 0.5, 0.7, 0.5), (0.7, 0.1, 0.7, 0.9)],
    "7 of segments": [(0.3, 0.1, 0.7, 0.1, 0.7, 0.9)],
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("digit", OWN)
def test_a_digit_keeps_lines_of_its_own(digit: str, side: int) -> None:
    xs, ys = ([share for stroke in OWN[digit] for share in stroke[axis::2]] for axis in (0, 1))
    for share in (0.04, 0.08, 0.12):
        for aslant in (0, 3):
            picture = drawn(OWN[digit], side, max(1, round(share * side)), aslant)
            for either in (picture, ImageOps.invert(picture)):
                left, top, right, bottom = prepare(either).box
                assert (left, top) == pytest.approx((min(xs), min(ys)), abs=0.12)
                assert (right, bottom) == pytest.approx((max(xs), max(ys)), abs=0.12)


@pytest.mark.parametrize("side", SIDES)
def test_what_is_but_a_few_pixels_at_a_border_is_looked_at(side: int) -> None:
    """It may be blank, but nothing else."""
    for width in (1, 2, 3):
        for at in (0.0, 0.5, 1 - width / side):
            for stroke in ((at, 0.0, at, 1.0), (0.3, at, 0.7, at), (at, at, at + 0.03, at)):
                picture = drawn([stroke], side, width)
                for either in (picture, ImageOps.invert(picture)):
                    with suppress(BlankImage):
                        assert len(prepare(either).pixels) == 28 * 28
