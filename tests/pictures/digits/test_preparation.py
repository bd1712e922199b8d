"""A digit on any paper, of any size, anywhere → MNIST's form; judged by its properties and by the model."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from service.engine.predictor import Predictor
from service.errors import BlankImage
from service.pictures.digits.mnist_form import in_mnist_form
from service.pictures.digits.preparation import prepare
from tests.conftest import Digits, png
from tests.pictures.digits.drawings import SEVEN, assert_mnist_form, cover, paper, prepared, stroke

Floats = NDArray[np.float64]


Y, X = np.mgrid[0:280, 0:280] / 280
RANDOM = np.random.default_rng(0)
RULES = np.where(np.arange(280)[:, None] % 35 < 2, 185.0, 245.0) * np.ones((1, 280))

SHEETS = {
    "white paper": (255.0, 0.0),
    "black ground": (0.0, 255.0),
    "grey, little contrast": (150.0, 110.0),
    "light to dark": (120 + 120 * X, 30.0),
    "shadow's edge": (230 - 110 / (1 + np.exp(-(X + 0.6 * Y - 0.9) * 12)), 40.0),
    "vignette": (235 - 150 * ((X - 0.5) ** 2 + (Y - 0.5) ** 2), 40.0),
    "paper grain": (215 + RANDOM.normal(0, 12, (280, 280)), 50.0),
    "ruled lines": (RULES, 30.0),
    "ruled with ink": (np.where(RULES < 200, 50.0, 245.0), 30.0),
    "hard shadow": (235 - 145 / (1 + np.exp(-(X + 0.3 * Y - 0.6) * 30)), 30.0),
    "chalkboard": (60 + RANDOM.normal(0, 8, (280, 280)), 220.0),
    "vignette and shadow": (
        (240 - 220 * ((X - 0.5) ** 2 + (Y - 0.5) ** 2)) * np.where(X + 0.5 * Y < 0.75, 1.0, 0.5),
        25.0,
    ),
    "grain and shadow": (np.where(X > 0.6, 0.5, 1.0) * 235 + RANDOM.normal(0, 12, (280, 280)), 30.0),
    "ruled lines and shadow": (RULES * np.where(Y + 0.4 * X > 0.7, 0.6, 1.0), 30.0),
}


@pytest.mark.parametrize("sheet", SHEETS)
def test_any_sheet_gives_mnist_s_form(sheet: str, digits: Digits) -> None:
    ground, level = SHEETS[sheet]
    for image_u8 in digits.images_u8[:10]:
        assert_mnist_form(prepared(paper(cover(image_u8), ground, level)))


def accuracy(model: Predictor, pictures: list[NDArray[np.uint8]], labels: NDArray[np.uint8]) -> float:
    images_u8 = torch.from_numpy(np.stack(pictures)).unsqueeze(1)
    right = model.predict(images_u8).argmax(1).numpy() == labels[: len(pictures)]
    return float(right.mean())


@pytest.mark.parametrize("sheet", SHEETS)
@pytest.mark.parametrize(("scale", "at"), [(9, (14, 14)), (7, (80, 5)), (4, (10, 150))])
def test_the_model_reads_any_sheet(
    sheet: str, scale: int, at: tuple[int, int], digits: Digits, model: Predictor
) -> None:
    ground, level = SHEETS[sheet]
    pictures = [
        prepared(paper(cover(image_u8, scale, at=at), ground, level)) for image_u8 in digits.images_u8[:100]
    ]
    across_the_edge = sheet == "vignette and shadow" and scale == 4
    assert accuracy(model, pictures, digits.labels) >= (0.85 if across_the_edge else 0.95)


@pytest.mark.parametrize("side", [8, 12, 20, 56, 3000])
def test_any_size_is_read(side: int, digits: Digits, model: Predictor) -> None:
    pictures = [
        prepared(Image.fromarray(255 - image_u8[2:26, 2:26]).resize((side, side), Image.Resampling.BOX))
        for image_u8 in digits.images_u8[: 20 if side == 3000 else 100]
    ]
    assert accuracy(model, pictures, digits.labels) >= (0.85 if side == 8 else 0.95)


NOT_QUITE_MNIST: dict[str, Callable[[Image.Image], Image.Image]] = {
    "dark on light": ImageChops.invert,
    "little contrast": lambda picture: picture.point([180 - level // 2 for level in range(256)]),
    "off centre": lambda picture: picture.transform((28, 28), Image.Transform.AFFINE, (1, 0, 3, 0, 1, -2)),
    "smaller": lambda picture: ImageOps.expand(picture.resize((18, 18), Image.Resampling.BOX), 5),
    "larger": lambda picture: picture.crop((2, 2, 26, 26)).resize((28, 28)),
    "compressed": lambda picture: Image.open(BytesIO(png(picture, "JPEG", quality=60))),
}


@pytest.mark.parametrize("change", NOT_QUITE_MNIST)
def test_a_picture_of_28_by_28_that_is_not_mnist_s_is_prepared(
    change: str, digits: Digits, model: Predictor
) -> None:
    pictures = []
    for image_u8 in digits.images_u8[:100]:
        changed = NOT_QUITE_MNIST[change](Image.fromarray(image_u8))
        assert in_mnist_form([(changed.tobytes(), changed.getbbox())]) == [False]
        pictures.append(prepared(changed))
    assert accuracy(model, pictures, digits.labels) >= 0.97


def test_mnist_s_own_pictures_are_in_mnist_s_form(digits: Digits) -> None:
    boxes = [Image.fromarray(image_u8).getbbox() for image_u8 in digits.images_u8]
    pixels = [image_u8.tobytes() for image_u8 in digits.images_u8]
    assert all(in_mnist_form(list(zip(pixels, boxes, strict=True))))
    for image_u8 in digits.images_u8:
        assert prepare(Image.fromarray(image_u8)).pixels == image_u8.tobytes()


EQUAL_BRIGHTNESS = [
    ((192, 0, 0), (0, 98, 0)),
    ((64, 128, 200), (208, 64, 64)),
    ((230, 120, 0), (0, 150, 220)),
]


@pytest.mark.parametrize(("ink", "ground"), EQUAL_BRIGHTNESS)
def test_ink_may_differ_from_its_ground_by_colour_alone(
    ink: tuple[int, int, int], ground: tuple[int, int, int], digits: Digits, model: Predictor
) -> None:
    pictures = []
    for image_u8 in digits.images_u8[:50]:
        covered = Image.fromarray((cover(image_u8) * 255).astype(np.uint8))
        coloured = Image.composite(
            Image.new("RGB", (280, 280), ink), Image.new("RGB", (280, 280), ground), covered
        )
        pictures.append(prepared(coloured))
    assert accuracy(model, pictures, digits.labels) >= 0.95


def test_a_small_digit_in_light_ink_is_found(digits: Digits, model: Predictor) -> None:
    """So small that the share of ink is under one in a hundred pixels."""
    pictures = [
        prepared(paper(cover(image_u8, scale=2, at=(200, 30)), 20.0, 225.0))
        for image_u8 in digits.images_u8[:50]
    ]
    assert accuracy(model, pictures, digits.labels) >= 0.95


@pytest.mark.parametrize("pencil", [0.25, 0.4, 0.5])
@pytest.mark.parametrize(
    ("scale", "light"),
    [
        (3, 1 - 0.5 / (1 + np.exp(-(X + 0.3 * Y - 0.6) * 25))),
        (3, 1 - 0.5 / (1 + np.exp(-(X + Y - 0.9) * 25))),
        (4, 1 - 0.5 / (1 + np.exp(-(X + 0.3 * Y - 0.35) * 200))),
    ],
    ids=["beside", "in the corner", "across its hard edge"],
)
def test_a_digit_half_in_light_and_half_in_shadow_is_read(
    pencil: float, scale: int, light: Floats, digits: Digits, model: Predictor
) -> None:
    """In the light, pencil is as dark as paper is in the shadow."""
    pictures = [
        prepared(paper(cover(image_u8, scale, at=(20, 20)), 245.0, 245 * pencil, light))
        for image_u8 in digits.images_u8
    ]
    assert accuracy(model, pictures, digits.labels) >= 0.9


@pytest.mark.parametrize(("side", "height", "least"), [(280, 22, 0.95), (640, 45, 0.98), (1200, 84, 0.98)])
def test_a_small_digit_is_looked_at_closer(
    side: int, height: int, least: float, digits: Digits, model: Predictor
) -> None:
    """`height`: of the ink, in pixels; at the size at which ink is found it would have 7 to 10."""
    pictures, left = [], side // 5
    for image_u8 in digits.images_u8[:100]:
        digit = Image.fromarray(image_u8).resize((28 * height // 20,) * 2, Image.Resampling.BICUBIC)
        sheet = Image.new("L", (side, side), 240)
        sheet.paste(25, (left, left), digit)
        found = prepare(sheet)
        pictures.append(found.image_u8())
        box = side * np.array(found.box) - left
        assert max(box[2] - box[0], box[3] - box[1]) == pytest.approx(height, abs=0.15 * height)
        assert ((box > -1) & (box < 1.4 * height + 1)).all()
    assert accuracy(model, pictures, digits.labels) >= least


@pytest.mark.parametrize("width", range(1, 15))
def test_a_dot_in_a_large_picture_is_ink_or_blank(width: int) -> None:
    """Ink of fewer pixels than those by which its strength is measured."""
    sheet = Image.new("L", (600, 400), 250)
    ImageDraw.Draw(sheet).line([(300, 200), (300, 200 + 2 * width)], fill=20, width=width)
    try:
        assert prepare(sheet).image_u8().max() == 255
        assert width >= 2
    except BlankImage:
        assert width <= 3


def test_of_few_pixels_the_faint_ones_around_a_stroke_count() -> None:
    """A stroke seldom ends where a pixel does: the faint one beside it says how far it goes on."""
    picture = np.zeros((8, 8), dtype=np.uint8)
    picture[1:6, 3] = 255
    widths = []
    for level in (0, 40, 80):
        picture[1:6, 4] = level
        widths.append(prepared(Image.fromarray(picture)).max(axis=0).sum(dtype=int) / 255)
    assert widths[0] + 0.2 < widths[1] < widths[2] - 0.2


def test_of_few_pixels_a_stroke_that_fades_is_one_stroke() -> None:
    """Else its upper part would hang at the border, and be erased as the edge of something else."""
    picture = np.zeros((8, 8), dtype=np.uint8)
    picture[0:7, 3] = 255
    picture[3, 3] = 50
    left, top, right, bottom = prepare(Image.fromarray(picture)).box
    assert (bottom - top) * 8 == pytest.approx(7, abs=0.4)
    assert (right - left) * 8 < 2


def test_where_the_ink_was_is_told() -> None:
    found = prepare(stroke(16, SEVEN))
    assert not found.ink_is_light
    expected = (62 / 280, 52 / 280, 218 / 280, 238 / 280)
    assert np.abs(np.subtract(found.box, expected)).max() < 0.04


def test_both_polarities_give_the_same_picture(digits: Digits) -> None:
    picture = paper(cover(digits.images_u8[0]), 255.0, 0.0)
    difference = prepared(picture).astype(int) - prepared(ImageChops.invert(picture))
    assert np.abs(difference).max() <= 2


def test_a_digit_that_touches_the_border_is_kept(digits: Digits, model: Predictor) -> None:
    pictures = [
        prepared(Image.fromarray(255 - image_u8[4:24, 4:24]).resize((200, 200), Image.Resampling.BICUBIC))
        for image_u8 in digits.images_u8[:100]
    ]
    assert accuracy(model, pictures, digits.labels) >= 0.95


def test_a_strong_frame_around_a_small_thin_digit_is_dropped(digits: Digits, model: Predictor) -> None:
    pictures = []
    for image_u8 in digits.images_u8[:50]:
        sheet = paper(0.6 * cover(image_u8, scale=3, at=(120, 90)), 245.0, 20.0)
        ImageDraw.Draw(sheet).rectangle((3, 3, 276, 276), outline=20, width=5)
        pictures.append(prepared(sheet))
    assert accuracy(model, pictures, digits.labels) >= 0.95


@pytest.mark.parametrize(
    "ground",
    [
        np.full((200, 300), 255.0),
        np.full((200, 300), 3.0),
        200 + 30 * np.linspace(0, 1, 300) * np.ones((200, 1)),
        215 + RANDOM.normal(0, 16, (280, 280)),
    ],
    ids=["white", "black", "gradient", "grain"],
)
def test_paper_without_ink_is_blank(ground: Floats) -> None:
    with pytest.raises(BlankImage):
        prepare(Image.fromarray(ground.astype(np.uint8)))


def test_it_is_deterministic_and_leaves_its_input_alone(digits: Digits) -> None:
    picture = paper(cover(digits.images_u8[3]), 230.0, 40.0).filter(ImageFilter.GaussianBlur(1))
    before = picture.tobytes()
    assert np.array_equal(prepared(picture), prepared(picture))
    assert picture.tobytes() == before
