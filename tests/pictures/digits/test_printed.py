"""Printed lines: a digit in a cell of them is read, and a cell that has nothing but them is blank."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageOps

from service.engine.predictor import Predictor
from service.errors import BlankImage
from service.pictures.digits.preparation import prepare
from tests.conftest import Digits, png
from tests.pictures.digits.drawings import answers, right_answers
from training.digits.digit_recipe import SCORE_THRESHOLD

SIDES = [28, 56, 140, 280, 1000]
LINES: dict[str, Sequence[int]] = {  # by the edges along which they run: upper, right, lower, left
    "upper": (0,),
    "right": (1,),
    "lower": (2,),
    "left": (3,),
    "corner": (0, 1),
    "other corner": (2, 3),
    "both sides": (1, 3),
    "frame": (0, 1, 2, 3),
}


def cell(side: int, edges: Sequence[int], share: float, inset: float = 0.0) -> Image.Image:
    """A white cell of a grid, with black lines along these edges, so wide and so far from them."""
    pixels = np.full((side, side), 255, dtype=np.uint8)
    width, start = max(1, round(share * side)), round(inset * side)
    for edge in edges:
        np.rot90(pixels, edge)[start : start + width] = 0
    return Image.fromarray(pixels)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("inset", [0.0, 0.03])
@pytest.mark.parametrize("edges", LINES)
def test_an_empty_cell_is_blank(edges: str, inset: float, side: int) -> None:
    for share in (0.03, 0.05, 0.08):
        picture = cell(side, LINES[edges], share, inset)
        for either in (picture, ImageOps.invert(picture)):
            with pytest.raises(BlankImage):
                prepare(either)


@pytest.mark.parametrize("edges", ["left", "corner", "frame"])
@pytest.mark.parametrize("change", ["JPEG", "noise", "slant", "grey"])
def test_an_empty_cell_as_it_is_scanned_is_no_digit(change: str, edges: str, model: Predictor) -> None:
    pictures = []
    for side in (280, 640):
        picture = cell(side * 4 // 3, LINES[edges], 0.02, 0.14)
        if change == "slant":
            picture = picture.rotate(1, Image.Resampling.BICUBIC, fillcolor=255)
        picture = picture.crop((side // 6, side // 6, side // 6 + side, side // 6 + side))
        if change == "JPEG":
            picture = Image.open(BytesIO(png(picture, "JPEG", quality=50)))
        if change == "noise":
            grain = np.random.default_rng(side).normal(0, 8, (side, side))
            picture = Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
        if change == "grey":
            picture = picture.point(lambda level: 150 + level * 105 // 255)
        pictures += [picture, ImageOps.invert(picture)]
    threshold = model.manifest.output.score.threshold if model.manifest.output.score else 0.0
    for digit, score in answers(model, pictures):
        assert digit == -1 or score > threshold


def test_a_level_line_is_no_digit() -> None:
    """Right across, at any height, a little aslant."""
    for at in (60, 140, 220):
        picture = Image.new("L", (280, 280), 250)
        ImageDraw.Draw(picture).line([(-5, at), (285, at + 8)], fill=40, width=5)
        with pytest.raises(BlankImage):
            prepare(picture)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("place", ["at the left", "at the right", "in the middle"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_one_near_the_edge_is_read(
    share: float, place: str, side: int, digits: Digits, model: Predictor
) -> None:
    pictures = []
    for image_u8 in digits.images_u8[digits.labels == 1][:8]:
        one = Image.fromarray(image_u8)
        one = one.crop(one.getbbox())
        high = round(share * side)
        one = one.resize((max(1, one.width * high // one.height), high), Image.Resampling.BICUBIC)
        margin = max(1, side // 40)
        left = {"at the left": margin, "at the right": side - one.width - margin}.get(place, side // 3)
        sheet = Image.new("L", (side, side))
        sheet.paste(one, (left, (side - high) // 2))
        pictures += [sheet, ImageOps.invert(sheet)]
    assert right_answers(model, pictures, np.ones(len(pictures), np.uint8)) >= len(pictures) - 1


@pytest.mark.parametrize("where", ["left", "corner", "both sides", "frame"])
@pytest.mark.parametrize("share", [0.012, 0.05, 0.08])
def test_a_digit_in_a_cell_is_read(share: float, where: str, digits: Digits, model: Predictor) -> None:
    pictures = []
    for number, image_u8 in enumerate(digits.images_u8[:20]):
        sheet = Image.new("L", (240, 240), 255)
        digit = Image.fromarray(image_u8).resize((168, 168), Image.Resampling.BICUBIC)
        sheet.paste(0, (36, 36), digit)
        picture = ImageChops.darker(sheet, cell(240, LINES[where], share, 0.02))
        side = SIDES[1:][number // 2 % 4]
        picture = picture.resize((side, side), Image.Resampling.BICUBIC)
        pictures.append(ImageOps.invert(picture) if number % 2 else picture)
    assert right_answers(model, pictures, digits.labels) >= len(pictures) - 1


STROKES: dict[int, list[tuple[float, float]]] = {  # from 0 to 1, across and down
    2: [(0.1, 0.2), (0.5, 0), (0.8, 0.3), (0, 1), (0.9, 1)],
    4: [(0.9, 0.7), (0, 0.7), (0.7, 0), (0.7, 1)],
    5: [(0.9, 0), (0.1, 0), (0.1, 0.4), (0.6, 0.4), (0.9, 0.7), (0.6, 1), (0, 0.95)],
    7: [(0, 0), (0.9, 0), (0.3, 1)],
}


@pytest.mark.parametrize("side", [280, 400])
@pytest.mark.parametrize("turned", [False, True])
def test_a_stroke_along_a_line_of_squared_paper_stays(side: int, turned: bool, model: Predictor) -> None:
    """Level strokes, on a line of two pixels or beside it, far darker than it. `turned`: light on dark."""
    pictures, labels = [], []
    cell = side // 10
    for shift in range(-4, 5):
        for digit, path in STROKES.items():
            sheet = Image.new("L", (side, side), 248)
            pen = ImageDraw.Draw(sheet)
            for line in range(cell // 2, side, cell):
                pen.line([(0, line), (side, line)], fill=172, width=2)
                pen.line([(line, 0), (line, side)], fill=172, width=2)
            left, top, high = 3 * cell, 2.5 * cell + shift, 5 * cell
            pen.line([(left + 0.6 * high * x, top + high * y) for x, y in path], 30, 5, "curve")
            pictures.append(ImageOps.invert(sheet) if turned else sheet)
            labels.append(digit)
    read = answers(model, pictures)
    right = [
        digit == label and score < SCORE_THRESHOLD
        for (digit, score), label in zip(read, labels, strict=True)
    ]
    assert sum(right) >= 33
