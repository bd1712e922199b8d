"""The strokes of a digit are kept and made as wide as MNIST's; what is drawn beside it is dropped."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from tests.pictures.digits.drawings import SEVEN, assert_mnist_form, paper, prepared, stroke


def test_a_single_stroke_is_no_rule() -> None:
    """A one from border to border stays, however straight."""
    picture = Image.new("L", (60, 200), 255)
    ImageDraw.Draw(picture).rectangle((26, 0, 36, 199), fill=0)
    assert_mnist_form(prepared(picture))


def test_specks_are_dropped() -> None:
    clean, specked = stroke(16, SEVEN), stroke(16, SEVEN)
    for x, y in ((20, 250), (260, 20), (250, 260)):
        ImageDraw.Draw(specked).ellipse((x, y, x + 5, y + 5), fill=0)
    assert np.abs(prepared(specked).astype(int) - prepared(clean)).max() <= 2


def test_a_detached_stroke_is_kept() -> None:
    body = [(90, 90), (90, 150), (180, 150), (180, 230), (80, 230)]
    flag = [(110, 60), (200, 60)]
    with_flag = prepared(stroke(14, [body, flag]))
    without = prepared(stroke(14, [body]))
    assert np.abs(with_flag.astype(int) - without).max() > 200


@pytest.mark.parametrize("inset", [0, 4, 18])
@pytest.mark.parametrize("gap", [0, 60], ids=["closed", "open"])
def test_a_frame_around_the_digit_is_dropped(inset: int, gap: int) -> None:
    clean, framed = stroke(16, SEVEN), stroke(16, SEVEN)
    pen = ImageDraw.Draw(framed)
    pen.rectangle((inset, inset, 279 - inset, 279 - inset), outline=60, width=6)
    if gap:
        pen.rectangle((0, 140, 30, 140 + gap), fill=255)
    # What is within a frame is looked at anew, which may move it by half a pixel.
    assert np.abs(prepared(framed).astype(int) - prepared(clean)).mean() < 10


@pytest.mark.parametrize("width", [3, 6, 12, 24, 44])
def test_pencil_and_marker_come_near_mnist_s_stroke(width: int) -> None:
    pixels = prepared(stroke(width, SEVEN))
    assert_mnist_form(pixels)
    share = (pixels > 127).mean()
    assert 0.05 < share < 0.22  # MNIST's sevens: 0.06 to 0.17


@pytest.mark.parametrize("side", [56, 100, 140, 280, 640])
@pytest.mark.parametrize("body", [0.32, 0.4, 0.5])
def test_strokes_wider_than_a_pen_s_are_ink_throughout_in_uneven_light(body: float, side: int) -> None:
    """A 6 whose hole is filled, as with a thick brush, is what it is on even paper without grain."""
    ink, random = Image.new("L", (side, side)), np.random.default_rng(side)
    drawing = ImageDraw.Draw(ink)
    left, top = 0.5 - body / 2, 0.85 - body
    drawing.ellipse([side * edge for edge in (left, top, left + body, 0.85)], fill=255)
    stem = [(side * x, side * y) for x, y in ((left + 0.1, 0.85 - body / 2), (0.55, 0.12))]
    drawing.line(stem, fill=255, width=round(0.15 * side))
    covered = np.asarray(ink) / 255
    light = np.linspace(1, 0.8, side)[:, None] * np.linspace(0.9, 1, side)
    grainy = 200 + random.normal(0, 4, covered.shape)
    even, uneven = paper(covered, 255, 0), paper(covered, grainy, 70, light)
    for picture in (uneven, ImageOps.invert(uneven)):
        assert np.abs(prepared(picture).astype(int) - prepared(even)).mean() < 8
