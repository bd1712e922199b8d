"""Lines of a pixel or a few in large pictures: blurred, they are as faint as grain, and are read."""

from io import BytesIO
from itertools import product

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from service.engine.predictor import Predictor
from service.errors import BlankImage
from service.pictures.digits.preparation import prepare
from tests.conftest import png
from tests.pictures.digits.drawings import answers, paper, prepared, right_answers

# In shares of the picture, from its upper left corner.
STROKES = {
    0: [[(50, 20), (35, 30), (30, 50), (35, 70), (50, 80), (65, 70), (70, 50), (65, 30), (50, 20)]],
    1: [[(50, 20), (50, 80)]],
    2: [[(30, 30), (40, 20), (60, 20), (70, 35), (60, 50), (30, 80), (70, 80)]],
    3: [[(30, 20), (60, 20), (70, 35), (50, 48), (70, 62), (60, 80), (30, 80)]],
    4: [[(45, 20), (30, 55), (70, 55)], [(60, 35), (60, 80)]],
    5: [[(70, 20), (35, 20), (33, 48), (60, 48), (70, 62), (60, 80), (33, 78)]],
    6: [[(60, 20), (40, 35), (32, 60), (40, 78), (60, 78), (68, 62), (55, 52), (34, 60)]],
    7: [[(30, 20), (70, 20), (45, 80)]],
    8: [
        [(50, 48), (35, 38), (38, 24), (50, 20), (62, 24), (65, 38), (50, 48)],
        [(50, 48), (34, 60), (36, 75), (50, 80), (64, 75), (66, 60), (50, 48)],
    ],
    9: [[(68, 35), (55, 20), (38, 25), (35, 40), (50, 50), (65, 42), (68, 30), (66, 55), (60, 80)]],
}
SIZES = [(560, 1), (1000, 2), (1000, 1), (1680, 3), (2240, 4), (2240, 1)]
SIZES_ON_UNEVEN = [
    (140, 1),
    (280, 2),
    (420, 1),
    (420, 3),
    (600, 2),
    (900, 3),
    (1000, 1),
    (2240, 2),
    (1400, 1),
    (2240, 1),
]


def drawn(digit: int, side: int, width: int, ink: int = 0, finer: int = 1) -> Image.Image:
    picture = Image.new("L", (side * finer, side * finer), 255)
    for stroke in STROKES[digit]:
        points = [(x * side * finer / 100, y * side * finer / 100) for x, y in stroke]
        ImageDraw.Draw(picture).line(points, fill=ink, width=width * finer)
    return picture.reduce(finer)


@pytest.mark.parametrize(("side", "width"), SIZES)
@pytest.mark.parametrize("way", ["plain", "smooth", "JPEG", "grey"])
def test_thin_lines_are_read(way: str, side: int, width: int, model: Predictor) -> None:
    pictures = []
    for digit in STROKES:
        picture = drawn(digit, side, width, 60 if way == "grey" else 0, 2 if way == "smooth" else 1)
        if way == "JPEG":
            picture = Image.open(BytesIO(png(picture, "JPEG", quality=75)))
        pictures.append(picture if digit % 2 else ImageOps.invert(picture))
    labels = np.array(list(STROKES), dtype=np.uint8)
    assert right_answers(model, pictures, labels) == len(labels)


@pytest.mark.parametrize(("side", "width"), SIZES_ON_UNEVEN)
def test_thin_lines_on_uneven_paper_are_read(side: int, width: int, model: Predictor) -> None:
    """Lines are gone where a picture is looked at on few pixels, and the light is not."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    lights = {"across": 0.85 + 0.15 * x + 0.05 * y, "vignette": 1 - 0.15 * (x**2 + y**2)}
    pictures: dict[str, list[Image.Image]] = {light: [] for light in lights}
    for digit in STROKES:
        grain = np.random.default_rng(digit).normal(0, 3, (side, side))
        levels = np.asarray(drawn(digit, side, width), dtype=float)
        for light, falls in lights.items():
            seen = (60 + 0.62 * levels) * falls + grain
            pictures[light].append(Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8)))
    labels = np.array(list(STROKES), dtype=np.uint8)
    for light, dark_ink in pictures.items():
        for either in (dark_ink, [ImageOps.invert(picture) for picture in dark_ink]):
            assert right_answers(model, either, labels) == len(labels), light


@pytest.mark.parametrize(("side", "width"), [(140, 1), (280, 2), (330, 2), (420, 3), (560, 2), (840, 2)])
def test_thin_lines_keep_all_strokes(side: int, width: int, model: Predictor) -> None:
    """On the halves of halves, some are as faint as no stroke is."""
    labels = np.array(list(STROKES), dtype=np.uint8)
    pictures = [drawn(digit, side, width, 40) for digit in STROKES]
    for either in (pictures, [ImageOps.invert(picture) for picture in pictures]):
        assert right_answers(model, either, labels) == len(labels)
        for digit, picture in zip(STROKES, either, strict=True):
            whole = prepared(drawn(digit, 280, 12)) > 200
            near = Image.fromarray(prepared(picture)).filter(ImageFilter.MaxFilter(3))
            assert (np.asarray(near) > 127)[whole].mean() >= 0.9


@pytest.mark.parametrize("side", [1120, 1400, 1680, 2000, 2240])
@pytest.mark.parametrize("what", ["dust", "grain", "across", "margin"])
def test_on_large_pages_dust_and_printed_lines_are_blank(what: str, side: int) -> None:
    """Of the pixels in the place of one, the darkest are as dark as those of a thin line."""
    random = np.random.default_rng(side)
    levels = np.full((side, side), 215.0)
    if what in ("dust", "grain"):
        levels[tuple(random.integers(0, side, (2, 300)))] = 60
    if what == "across":
        levels[side // 2, :] = 60
    if what == "margin":
        levels[:, side // 6] = 60
    if what == "grain":
        levels += random.normal(0, 4, levels.shape)
    sheet = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    for either in (sheet, ImageOps.invert(sheet)):
        with pytest.raises(BlankImage):
            prepare(either)


def test_lone_lines_are_found_where_they_are() -> None:
    left, top, right, bottom = prepare(drawn(7, 2240, 1)).box
    assert (left, top, right, bottom) == pytest.approx((0.3, 0.2, 0.7, 0.8), abs=0.02)


@pytest.mark.parametrize("side", [140, 250, 390, 1000, 1100])
@pytest.mark.parametrize("apart", [28, 50, 60])
def test_dots_of_a_pixel_are_no_digit(apart: int, side: int, model: Predictor) -> None:
    sheet = Image.new("L", (side, side), 215)
    for dot in range(2):
        sheet.putpixel((70 + dot * apart, 70 + dot * apart), 0)
    score = model.manifest.output.score
    assert score
    for digit, of_picture in answers(model, [sheet, ImageOps.invert(sheet)]):
        assert digit == -1 or of_picture > score.threshold


@pytest.mark.parametrize("deviation", [4, 8, 12, 16])
@pytest.mark.parametrize("spot", [1, 2, 4])
def test_grain_is_no_line(spot: int, deviation: int) -> None:
    for seed in range(5):
        grain = np.random.default_rng(seed).normal(0, deviation / spot, (280 // spot, 280 // spot))
        levels = 215 + np.kron(grain, np.ones((spot, spot)))
        with pytest.raises(BlankImage):
            prepare(Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)))


@pytest.mark.parametrize("slope", [0, 0.2], ids=["flat", "sloping"])
@pytest.mark.parametrize("depth", [0.2, 0.45])
def test_a_soft_shadow_on_the_border_is_no_ink(depth: float, slope: float, model: Predictor) -> None:
    """That of the one who takes the picture, on an even sheet and on one that is lit from the side."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:1:1200j, 0:1:900j]
    pictures = []
    for number, (digit, width) in enumerate(product(STROKES, (4, 10, 24))):
        sheet = Image.new("L", (900, 1200), 255)
        sheet.paste(drawn(digit, 450, width), (225, 375))
        middle = random.uniform(0.3, 0.7)
        light = 1 - depth * np.exp(-(((x - middle) / 0.28) ** 2) / 2 - ((1 - y) / 0.2) ** 2 / 2)
        photo = paper(1 - np.asarray(sheet) / 255, 200, 70, light * (1 - slope * x))
        noisy = np.clip(np.asarray(photo) + random.normal(0, 4, (1200, 900)), 0, 255).astype(np.uint8)
        picture = Image.fromarray(noisy)
        pictures.append(ImageOps.invert(picture) if number % 2 else picture)
    labels = np.repeat(np.array(list(STROKES), dtype=np.uint8), 3)
    assert right_answers(model, pictures, labels) >= len(pictures) - 3


@pytest.mark.parametrize(("desk", "sheet", "ink"), [(90, 210, 40), (200, 90, 250)], ids=["dark", "light"])
@pytest.mark.parametrize("width", [8, 12])
def test_a_thin_pen_on_a_sheet_on_a_plain_desk_is_read(
    width: int, desk: int, sheet: int, ink: int, model: Predictor
) -> None:
    random = np.random.default_rng(0)
    pictures = []
    for digit in STROKES:
        picture = Image.new("L", (1000, 1000), desk)
        picture.paste(sheet, (250, 200, 750, 800))
        picture.paste(ink, (310, 310), ImageOps.invert(drawn(digit, 380, width)))
        blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(1)))
        noisy = np.clip(blurred + random.normal(0, 5, blurred.shape), 0, 255).astype(np.uint8)
        pictures.append(Image.open(BytesIO(png(Image.fromarray(noisy), "JPEG", quality=75))).convert("L"))
    labels = np.array(list(STROKES), dtype=np.uint8)
    assert right_answers(model, pictures, labels) >= len(pictures) - 1
