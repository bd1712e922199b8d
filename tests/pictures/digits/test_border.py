"""Strokes that touch the border: kept where they are part of the digit, dropped where they are not."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from service.engine.predictor import Predictor
from tests.conftest import Digits
from tests.pictures.digits.drawings import right_answers

SIDES = [28, 56, 140, 280, 640]
EDGES = ["upper", "right", "lower", "left"]


def in_two(image_u8: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], edge: int, gap: int) -> Image.Image:
    """Cut across its middle, with room around it but on one side, where the picture ends at the ink."""
    digit = Image.fromarray(image_u8).resize((224, 224), Image.Resampling.BICUBIC)
    pixels = np.rot90(np.asarray(digit), edge).copy()
    rows, columns = (np.flatnonzero((pixels > 60).any(axis)) for axis in (1, 0))
    ink = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shares = ink.sum(1).cumsum() / ink.sum()
    middle = int(np.searchsorted(shares, 0.55))  # what touches the border is the larger
    ink[middle - gap // 2 : middle + gap // 2] = 0
    return Image.fromarray(np.rot90(np.pad(ink, ((0, 30), (30, 30))), -edge))


def as_sent(cover: Image.Image, number: int) -> Image.Image:
    """Either polarity, any of five sizes."""
    side = SIDES[number // 2 % len(SIDES)]
    scale = side / max(cover.size)
    size = max(1, round(cover.width * scale)), max(1, round(cover.height * scale))
    picture = cover.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    return ImageOps.invert(picture) if number % 2 else picture


@pytest.mark.parametrize("edge", range(4), ids=EDGES)
@pytest.mark.parametrize("gap", [10, 16])
def test_the_larger_of_two_strokes_may_touch_the_border(
    gap: int, edge: int, digits: Digits, model: Predictor
) -> None:
    pictures = [
        as_sent(in_two(image_u8, edge, gap), n) for n, image_u8 in enumerate(digits.images_u8[:200])
    ]
    assert right_answers(model, pictures, digits.labels) >= 0.925 * len(pictures)


FOUR = [[(80, 30), (50, 150), (150, 150)], [(175, 60), (170, 280)]]
DRAWN = {
    "4, its stem at the lower border": (4, FOUR, (0, 0, 240, 260)),
    "4, its stem cut a little": (4, FOUR, (0, 0, 240, 240)),
    "4, its stem at the lower border, near the right one": (4, FOUR, (0, 0, 205, 260)),
    "5, its roof at the upper border": (
        5,
        [[(70, 56), (65, 120), (130, 115), (165, 160), (130, 215), (60, 215)], [(100, 20), (180, 20)]],
        (0, 13, 240, 260),
    ),
    "7, its stem at the lower border, far from its roof": (
        7,
        [[(40, 60), (100, 50)], [(190, 50), (180, 110), (80, 290)]],
        (0, 0, 240, 240),
    ),
    "7, its bar at the right border": (
        7,
        [[(50, 40), (170, 40), (134, 120)], [(122, 150), (90, 240)], [(70, 132), (180, 140)]],
        (0, 0, 178, 280),
    ),
}


@pytest.mark.parametrize("drawing", DRAWN)
def test_drawn_in_several_strokes(drawing: str, model: Predictor) -> None:
    label, strokes, box = DRAWN[drawing]
    cover = Image.new("L", (280, 300))
    for points in strokes:
        ImageDraw.Draw(cover).line([(x, y) for x, y in points], fill=255, width=15, joint="curve")
    pictures = [as_sent(cover.crop(box), number) for number in range(2 * len(SIDES))]
    assert right_answers(model, pictures, np.full(len(pictures), label, np.uint8)) == len(pictures)


def test_the_digits_beside_it_are_not_part_of_it(digits: Digits, model: Predictor) -> None:
    pictures = []
    for number, image_u8 in enumerate(digits.images_u8[:40]):
        row = Image.new("L", (700, 300))
        for distance, other in ((-170, number + 100), (165, number + 200)):
            neighbour = Image.fromarray(digits.images_u8[other]).resize(
                (224, 224), Image.Resampling.BICUBIC
            )
            row.paste(neighbour, (238 + distance, 38), neighbour)
        digit = Image.fromarray(image_u8).resize((224, 224), Image.Resampling.BICUBIC)
        row.paste(255, (238, 38), digit)
        pictures.append(as_sent(row.crop((220, 20, 480, 280)), number))
    assert right_answers(model, pictures, digits.labels) >= len(pictures) - 2


def test_a_shadow_in_the_corner_and_the_edge_of_a_table_are_not(digits: Digits, model: Predictor) -> None:
    pictures = []
    for number, image_u8 in enumerate(digits.images_u8[:40]):
        sheet = Image.fromarray(image_u8).resize((240, 240), Image.Resampling.BICUBIC)
        pen = ImageDraw.Draw(sheet)
        if number % 4 < 2:
            pen.polygon([(0, 0), (52, 0), (0, 52)], fill=230)
        else:
            pen.rectangle((0, 0, 14, 240), fill=230)
        pictures.append(as_sent(sheet, number))
    assert right_answers(model, pictures, digits.labels) >= len(pictures) - 2
