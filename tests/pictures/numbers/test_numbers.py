"""Numbers in lines and on forms: how many are read wholly right, and how little the worst pictures cost."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from service.endpoints.each import digits_among
from service.engine.predictor import Predictor
from service.errors import BlankImage
from service.pictures.digits.ground import find_ink
from service.pictures.digits.preparation import prepare
from service.pictures.images import Finding
from service.pictures.numbers.candidates import MOST_CANDIDATES, Numbers, numbers_in
from service.pictures.numbers.parts import MOST_PARTS, lines_of
from service.pictures.numbers.sheet import MOST_PIXELS, MOST_RUNS, sheet_of
from tests.conftest import Digits
from tests.pictures.digits.drawings import on_desk
from tests.pictures.numbers.drawn import MARGIN, in_a_comb, in_boxes, ink_of, on_paper, stacked

Random = np.random.Generator
Draw = Callable[[list[NDArray[np.uint8]], Random], Image.Image]
NUMBERS = 12


def read(model: Predictor, picture: Image.Image) -> tuple[list[int], Numbers, list[int]]:
    """The digits; all candidates, and the places of the digits among them."""
    numbers = numbers_in(picture)
    rows = np.frombuffer(bytearray(numbers.pixels), np.uint8).reshape(-1, 1, 28, 28)
    outputs = model.answer(torch.from_numpy(rows))
    finding = Finding(numbers.pixels, picture.size, candidates=numbers.candidates)
    places = digits_among(finding, outputs, model.manifest.output)
    return outputs[places, :10].argmax(axis=1).tolist(), numbers, places


def read_right(model: Predictor, digits: Digits, draw: Draw) -> int:
    """How many of NUMBERS drawn numbers of 1 to 8 digits."""
    random = np.random.default_rng(1)
    right = 0
    for _ in range(NUMBERS):
        chosen = random.integers(len(digits.labels), size=int(random.integers(1, 9)))
        found, *_ = read(model, draw([digits.images_u8[at] for at in chosen], random))
        right += found == digits.labels[chosen].tolist()
    return right


def slanted(images_u8: list[NDArray[np.uint8]], random: Random) -> Image.Image:
    sheet = on_paper(ink_of(images_u8, 5, random))
    return sheet.rotate(float(random.uniform(-7, 7)), Image.Resampling.BICUBIC, expand=True, fillcolor=255)


def in_shade(images_u8: list[NDArray[np.uint8]], random: Random) -> Image.Image:
    sheet = np.asarray(on_paper(ink_of(images_u8, 4, random)), dtype=np.float64) / 255
    y, x = np.mgrid[0 : sheet.shape[0], 0 : sheet.shape[1]] / max(sheet.shape)
    light = 210 - 110 * x - 30 * y + random.normal(0, 3, sheet.shape)
    return Image.fromarray(np.clip(light * (0.4 + 0.6 * sheet), 0, 255).astype(np.uint8))


def turned_comb(images_u8: list[NDArray[np.uint8]], random: Random) -> Image.Image:
    sheet = in_a_comb(images_u8, 15, random, below=bool(random.integers(2)))
    return sheet.rotate(float(random.uniform(-3, 3)), Image.Resampling.BICUBIC, expand=True, fillcolor=255)


def ruled(images_u8: list[NDArray[np.uint8]], random: Random) -> Image.Image:
    sheet = on_paper(ink_of(images_u8, 4, random))
    pen = ImageDraw.Draw(sheet)
    for y in (30, 90, 150):
        pen.line([(0, y), (sheet.width, y)], fill=170, width=2)
    pen.line([(20, sheet.height - 18), (sheet.width - 20, sheet.height - 15)], fill=0, width=3)
    return sheet


def on_a_desk(images_u8: list[NDArray[np.uint8]], random: Random) -> Image.Image:
    return on_desk(on_paper(np.pad(ink_of(images_u8, 4, random), MARGIN)), 0, random)


DRAWN: dict[str, tuple[int, Draw]] = {
    "with gaps": (11, lambda images, random: on_paper(ink_of(images, 4, random))),
    "light on dark": (11, lambda images, random: on_paper(ink_of(images, 4, random), dark=False)),
    "of few pixels": (10, lambda images, random: on_paper(ink_of(images, 4, random), scale=1)),
    "of many pixels": (11, lambda images, random: on_paper(ink_of(images, 4, random), scale=12)),
    "touching": (10, lambda images, random: on_paper(ink_of(images, 0, random))),
    "overlapping": (8, lambda images, random: on_paper(ink_of(images, -1, random))),
    "slanted": (10, slanted),
    "in shade": (10, in_shade),
    "on a sheet on a desk": (10, on_a_desk),
    "ruled, underlined": (10, ruled),
    "in boxes": (10, lambda images, random: in_boxes(images, 6, 4, random)),
    "in a grid": (10, lambda images, random: in_boxes(images, 0, 4, random)),
    "in a comb": (11, lambda images, random: in_a_comb(images, 15, random)),
    "in a comb with high teeth": (11, lambda images, random: in_a_comb(images, 26, random)),
    "in a comb that is turned": (10, turned_comb),
    "touching boxes": (9, lambda images, random: in_boxes(images, 6, 8, random)),
    "touching a grid": (9, lambda images, random: in_boxes(images, 0, 8, random)),
}


@pytest.mark.parametrize("how", DRAWN)
def test_numbers_are_read(how: str, model: Predictor, digits: Digits) -> None:
    least, draw = DRAWN[how]
    assert read_right(model, digits, draw) >= least


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("size", [(920, 690), (930, 700), (1400, 560)])
def test_small_digits_are_read_where_there_are_hardly_more_pixels_than_are_looked_at(
    size: tuple[int, int], dark: bool, model: Predictor, digits: Digits
) -> None:
    def draw(images_u8: list[NDArray[np.uint8]], random: Random) -> Image.Image:
        sheet = Image.new("L", size, 255 if dark else 0)
        sheet.paste(on_paper(ink_of(images_u8, 5, random), 1, dark), (size[0] // 3, size[1] // 3))
        return sheet

    assert read_right(model, digits, draw) >= 9


@pytest.mark.parametrize("size", [(300, 220), (420, 560), (600, 450)])
@pytest.mark.parametrize("soft", [0.004, 0.02])
def test_ink_is_darker_than_paper_that_lies_half_in_a_hands_shadow(
    soft: float, size: tuple[int, int], digits: Digits
) -> None:
    """The edge of the shadow runs anywhere across the number. `soft`: of the width, as which it begins."""
    random, told = np.random.default_rng(0), []
    width, height = size
    y, x = np.mgrid[0:height, 0:width] - np.array([height, width])[:, None, None] / 2
    for _ in range(20):
        chosen = random.integers(len(digits.labels), size=4)
        number = Image.fromarray(ink_of(list(digits.images_u8[chosen]), 6, random))
        number = number.resize((width // 2, number.height * width // 2 // number.width))
        sheet = Image.new("L", size)
        sheet.paste(number, (width // 4, (height - number.height) // 2))
        way = random.uniform(0, 2 * np.pi)
        inward = x * np.cos(way) + y * np.sin(way) + width * random.uniform(-0.08, 0.08)
        light = 210 - 110 / (1 + np.exp(-(inward / (soft * width)).clip(-50, 50)))
        seen = light * (1 - 0.7 * np.asarray(sheet) / 255) + random.normal(0, 4, light.shape)
        picture = Image.fromarray(seen.clip(0, 255).astype(np.uint8))
        told += [not find_ink(picture).is_light, find_ink(ImageOps.invert(picture)).is_light]
    assert sum(told) >= 38


def test_lines_are_read_one_after_the_other(model: Predictor, digits: Digits) -> None:
    random = np.random.default_rng(0)
    lines = [digits.images_u8[at : at + 5] for at in (0, 5, 10)]
    sheet = on_paper(stacked([ink_of(list(line), 5, random) for line in lines]))
    for degrees in (0, 3, -3):
        turned = sheet.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=255)
        found, numbers, places = read(model, turned)
        assert found == digits.labels[:15].tolist()
        assert [numbers.candidates[place].line for place in places] == [0] * 5 + [1] * 5 + [2] * 5


@pytest.mark.parametrize("desk", [0, 100])
def test_boxes_are_where_the_digits_are(desk: int, model: Predictor, digits: Digits) -> None:
    """`desk`: pixels of it around the sheet, as dark as the digits."""
    random = np.random.default_rng(0)
    paper = on_paper(ink_of(list(digits.images_u8[:4]), 6, random))
    sheet = ImageOps.expand(paper, desk, fill=20)
    _, numbers, places = read(model, sheet)
    dark = np.asarray(ImageOps.expand(paper, desk, fill=255)) < 128
    for place in places:
        left, top, right, bottom = (
            round(edge * side)
            for edge, side in zip(numbers.candidates[place].box, sheet.size * 2, strict=True)
        )
        inside = dark[top:bottom, left:right]
        assert all(edge.any() for edge in (inside[:4], inside[-4:], inside[:, :4], inside[:, -4:]))
        dark[top:bottom, left:right] = False
    assert not dark.any()


@pytest.mark.parametrize(("axis", "least"), [(0, 27), (1, 19)])
def test_a_digit_in_two_parts_is_one(axis: int, least: int, model: Predictor, digits: Digits) -> None:
    """Its roof, or a side of it, hangs together with nothing; another digit stands before and behind it."""
    random = np.random.default_rng(0)
    right = 0
    for at in range(1, 31):
        broken = digits.images_u8[at].copy()
        across = broken if axis == 0 else broken.T
        ink = np.flatnonzero(across.any(axis=1))
        middle = int(ink[len(ink) // 3])
        across[middle : middle + 2] = 0
        images = [digits.images_u8[at - 1], broken, digits.images_u8[at + 1]]
        found, *_ = read(model, on_paper(ink_of(images, 6, random)))
        right += found == digits.labels[at - 1 : at + 2].tolist()
    assert right >= least


def test_a_bar_apart_from_its_digit_is_no_comb() -> None:
    """It has two teeth, as a short comb has, and is no wider than a digit may be."""
    mask = np.zeros((100, 200), dtype=np.bool_)
    mask[20:80, 15:60] = mask[10:80, 90:120] = mask[10:80, 150:180] = True
    mask[10:13, 10:65] = mask[5:13, 10:13] = mask[5:13, 62:65] = True
    [line] = lines_of(mask)
    assert line.parts[0].box == (10, 5, 65, 80)


def test_one_digit_as_mnist_has_it_is_read_as_it_is(digits: Digits) -> None:
    for image_u8 in digits.images_u8[:50]:
        numbers = numbers_in(Image.fromarray(image_u8))
        assert numbers.pixels == prepare(Image.fromarray(image_u8)).pixels
        assert len(numbers.candidates) == 1


def specks() -> NDArray[np.uint8]:
    levels = np.full((1000, 1000), 255, np.uint8)
    for top, left in np.random.default_rng(0).integers(0, 996, (10_000, 2)):
        levels[top : top + 3, left : left + 3] = 0
    return levels


def drawn(levels: Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[Any]]) -> NDArray[np.uint8]:
    """White where a rule of x and y says so."""
    y, x = np.mgrid[0:1000, 0:1000]
    return (levels(x, y) * 255).astype(np.uint8)


def strokes_in_boxes() -> NDArray[np.uint8]:
    """49 boxes, into each of which six strokes are drawn from its upper side."""
    levels = np.full((1000, 1400), 255, np.uint8)
    for top in range(20, 850, 150):
        for left in range(20, 1260, 150):
            levels[top : top + 130, left : left + 130] = 0
            levels[top + 3 : top + 127, left + 3 : left + 127] = 255
            for stroke in range(left + 8, left + 122, 19):
                levels[top : top + 86, stroke : stroke + 5] = 0
    return levels


HOSTILE: dict[str, Callable[[], NDArray[np.uint8]]] = {
    "specks": specks,
    "checks of a pixel": lambda: drawn(lambda x, y: (x + y) % 2),
    "checks": lambda: drawn(lambda x, y: (x // 4 + y // 4) % 2),
    "level lines": lambda: drawn(lambda x, y: (y + 0 * x) % 6 < 2),
    "upright lines": lambda: drawn(lambda x, y: (x + 0 * y) % 6 < 2),
    "slanted lines": lambda: drawn(lambda x, y: (x + 2 * y) % 14 < 4),
    "combs": lambda: drawn(lambda x, y: ((x % 12 < 5) & (y % 40 < 30)) | (y % 40 == 15)),
    "a fine grid": lambda: drawn(lambda x, y: (x % 10 < 2) | (y % 10 < 2)),
    "noise": lambda: np.random.default_rng(0).integers(0, 256, (1000, 1000), dtype=np.uint8),
    "strokes in boxes": strokes_in_boxes,
    "blank": lambda: np.full((5000, 5000), 255, np.uint8),
    "a strip": lambda: np.tile(((np.arange(60_000) % 12 < 5) * 255).astype(np.uint8), (8, 1)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_work_is_bounded(name: str) -> None:
    picture = Image.fromarray(HOSTILE[name]())
    try:
        sheet = sheet_of(picture)
    except BlankImage:
        with pytest.raises(BlankImage):
            numbers_in(picture)
        return
    mask = sheet.mask()
    assert mask.size <= MOST_PIXELS
    assert np.count_nonzero(np.diff(mask.astype(np.int8), prepend=0, axis=1) > 0) <= MOST_RUNS
    assert sum(len(line.parts) for line in lines_of(mask)) <= MOST_PARTS
    try:
        found = len(numbers_in(picture).candidates)
    except BlankImage:
        found = 0
    assert found <= MOST_CANDIDATES + MOST_PARTS
