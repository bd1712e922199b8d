"""Digits side by side are seen as such; the strokes of one digit are not."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.pictures.digits.preparation import Prepared, prepare
from service.pictures.digits.reasons import reason_for
from service.pictures.digits.side_by_side import apart
from tests.conftest import Digits
from tests.pictures.digits.test_border import in_two

Pixels = NDArray[np.uint8]


def in_a_row(images_u8: Pixels, gap: int, scale: int = 4, turned_over: bool = False) -> Image.Image:
    """Dark digits on white, or light ones on black, with so many pixels of 28 between their ink."""
    trimmed = [image_u8[:, image_u8.any(axis=0)] for image_u8 in images_u8]
    between = np.zeros((28, gap), np.uint8)
    row = np.pad(np.concatenate([part for one in trimmed for part in (one, between)][:-1], axis=1), 6)
    sheet = Image.fromarray(row if turned_over else 255 - row)
    return sheet.resize((scale * sheet.width, scale * sheet.height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("turned_over", [False, True])
def test_digits_with_a_gap_are_several(count: int, turned_over: bool, digits: Digits) -> None:
    rows = [digits.images_u8[at : at + count] for at in range(0, 240, 6)]
    found = [prepare(in_a_row(row, 3, turned_over=turned_over)) for row in rows]
    assert sum(len(one.beside) == count for one in found) >= 32
    assert sum(reason_for(one.pixels, one) == "several_digits" for one in found) >= 39


def test_their_boxes_are_where_they_are(digits: Digits) -> None:
    picture = in_a_row(digits.images_u8[:3], 6)
    found = prepare(picture)
    edges = [edge * picture.width for box in found.beside for edge in (box[0], box[2])]
    widths = [4 * int(image_u8.any(axis=0).sum()) for image_u8 in digits.images_u8[:3]]
    expected = [24, 24 + widths[0]]
    for width in widths[1:]:
        expected += [expected[-1] + 24, expected[-1] + 24 + width]
    assert edges == pytest.approx(expected, abs=8)
    assert found.beside[0][0] >= found.box[0] - 0.01
    assert found.beside[-1][2] <= found.box[2] + 0.01


def test_one_digit_is_not(digits: Digits) -> None:
    """Nor where it was drawn in two strokes that do not meet."""
    for image_u8 in digits.images_u8[:300]:
        assert not prepare(in_a_row(image_u8[None], 0)).beside
        assert not prepare(Image.fromarray(image_u8)).beside
    for image_u8 in digits.images_u8[:60]:
        assert not prepare(in_two(image_u8, 16, 2)).beside


def test_slanted_digits_are_several_where_no_upright_gap_is_between_them() -> None:
    mask = np.zeros((40, 60), dtype=np.bool_)
    for at in (18, 30):
        for row in range(40):
            mask[row, at - row // 3 + 5 : at - row // 3 + 9] = True
    ink = mask[:, mask.any(axis=0)]
    assert len(apart(ink[::-1])) == 2
    assert len(apart(ink)) == 2


@pytest.mark.parametrize("mask", [np.zeros((28, 28), np.bool_), np.ones((1, 1), np.bool_)])
def test_nothing_and_a_dot_are_not_several(mask: NDArray[np.bool_]) -> None:
    assert apart(mask) == []
    assert reason_for(np.zeros(784, np.uint8).tobytes(), None) == "no_digit"


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((0, 0.2, 0.3, 0.8), "mostly_outside"),
        ((0.2, 0.5, 0.8, 1), "mostly_outside"),
        ((0, 0, 0.4, 0.4), "mostly_outside"),
        ((0, 0.2, 1, 0.8), "no_digit"),
        ((0, 0, 1, 1), "no_digit"),
        ((0.2, 0.2, 0.8, 0.8), "no_digit"),
    ],
)
def test_what_ends_at_a_border_is_outside(
    box: tuple[float, float, float, float], reason: str, digits: Digits
) -> None:
    pixels = digits.images_u8[0].tobytes()
    assert reason_for(pixels, Prepared(pixels, True, box)) == reason
