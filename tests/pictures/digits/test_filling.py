"""Digits that fill their picture, stretched to its sides or cut at the ink, of strokes however wide."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from service.engine.predictor import Predictor
from service.pictures.digits.polarity import filling_is_light
from service.pictures.digits.preparation import prepare
from tests.conftest import Digits
from tests.pictures.digits.drawings import right_answers, thickened

DIGITS = 20
ILLEGIBLE = (16, 20)  # of their ground too little is left, though it is told from ink


def stretched(image_u8: NDArray[np.uint8], side: int, wider: int) -> Image.Image:
    """Light on black, of two levels, to all four sides. Strokes are wider by so many of 140 pixels."""
    large = Image.fromarray(image_u8).resize((140, 140), Image.Resampling.BICUBIC)
    ink = two_levels(thickened(large, wider + 1), 100)
    return two_levels(ink.crop(ink.getbbox()).resize((side, side), Image.Resampling.BOX), 127)


def two_levels(picture: Image.Image, above: int) -> Image.Image:
    return picture.point([255 * (level > above) for level in range(256)])


@pytest.mark.parametrize("wider", [0, 10, 20])
@pytest.mark.parametrize("side", [16, 28, 56, 140, 280])
def test_is_read_as_with_room_around_it(side: int, wider: int, digits: Digits, model: Predictor) -> None:
    light = [stretched(image_u8, side, wider) for image_u8 in digits.images_u8[:DIGITS]]
    dark = [ImageOps.invert(digit) for digit in light]
    roomy = [ImageOps.expand(digit, side // 2) for digit in light]
    right = right_answers(model, roomy, digits.labels)
    for pictures, is_light in ((light, True), (dark, False)):
        if (side, wider) != ILLEGIBLE:
            assert right_answers(model, pictures, digits.labels) >= right - 1
        assert sum(filling_is_light(digit) is is_light for digit in pictures) >= DIGITS - 1


@pytest.mark.parametrize("side", [28, 140])
def test_sheets_do_not_fill_their_picture(side: int, digits: Digits) -> None:
    """Nor do digits with room around them, though bits of others are in corners, or a round frame is."""
    for image_u8 in digits.images_u8[:DIGITS]:
        digit = ImageOps.expand(Image.fromarray(image_u8), 4)
        alone = digit.resize((side, side), Image.Resampling.BICUBIC)
        corners, framed = alone.copy(), Image.new("L", (side, side), 255)
        pen = ImageDraw.Draw(corners)
        pen.rectangle((0, 0, side // 6, side // 12), fill=255)
        pen.rectangle((side - side // 8, side - side // 6, side, side), fill=255)
        ImageDraw.Draw(framed).rounded_rectangle((0, 0, side - 1, side - 1), side // 4, fill=0)
        framed.paste(alone, mask=alone)
        for picture in (alone, corners, framed):
            for sent in (picture, ImageOps.invert(picture)):
                assert filling_is_light(sent) is None
        assert prepare(corners).ink_is_light
