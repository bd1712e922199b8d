"""MNIST's digits redrawn as other people write them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from service.pictures.digits.preparation import SIDE
from tests.conftest import Digits, mnist_rows
from training.data import Pixels, Rows
from training.digits import styles
from training.digits.styles import Digit


def cut_to_ink(image_u8: Pixels) -> Pixels:
    ink = image_u8 > 127
    return image_u8[ink.any(1)][:, ink.any(0)]


def width_over_height(image_u8: Pixels) -> float:
    height, width = cut_to_ink(image_u8).shape
    return float(width / height)


def ink_left_of_the_stem(image_u8: Pixels) -> float:
    """Share of the ink in the lowest fifth, left half."""
    ink = cut_to_ink(image_u8)
    height, width = ink.shape
    return float(ink[-height // 5 :, : width // 2].sum() / ink.sum())


def most_ink_in_a_row(image_u8: Pixels) -> float:
    """Below the upper third, where a 7 has its stem alone."""
    ink = cut_to_ink(image_u8)
    return float(ink[len(ink) // 3 :].sum(1).max() / 255)


def ink_for_its_height(image_u8: Pixels) -> float:
    ink = cut_to_ink(image_u8)
    return float(ink.sum() / 255 / len(ink))


def height_of_the_widest_row(image_u8: Pixels) -> float:
    """As a share of the height, from below."""
    ink = cut_to_ink(image_u8) > 127
    return 1 - float(ink.sum(1).argmax()) / len(ink)


@pytest.mark.parametrize(
    ("style", "label", "measure", "sign"),
    [
        (styles.flagged, 1, ink_for_its_height, 1),
        (styles.barred, 7, most_ink_in_a_row, 1),
        (styles.curled, 9, ink_left_of_the_stem, 1),
        (styles.roofed, 5, width_over_height, 1),
        (styles.short_stemmed, 4, height_of_the_widest_row, -1),
    ],
)
def test_a_style_changes_what_it_is_named_after(
    digits: Digits,
    style: Callable[[Digit, np.random.Generator], Pixels],
    label: int,
    measure: Callable[[Pixels], float],
    sign: int,
) -> None:
    random = np.random.default_rng(0)
    changed = []
    for image_u8 in digits.images_u8[digits.labels == label]:
        redrawn_u8 = style(Digit(image_u8), random)
        assert redrawn_u8.shape == (SIDE, SIDE)
        assert redrawn_u8.dtype == np.uint8
        assert redrawn_u8.max() == 255
        changed.append(sign * (measure(redrawn_u8) - measure(image_u8)) > 0)
    assert len(changed) > 30
    assert np.mean(changed) > 0.85


def test_some_digits_come_again_in_other_styles(digits: Digits) -> None:
    rows = mnist_rows(digits)
    extended = styles.with_other_styles(rows)
    count = len(rows.inputs)
    assert torch.equal(extended.inputs[:count], rows.inputs)
    assert torch.equal(extended.targets[:count], rows.targets)
    for label, share in styles.STYLES.values():
        expected = round(share * int((rows.targets == label).sum()))
        assert int((extended.targets[count:] == label).sum()) == expected > 3
    assert torch.equal(styles.with_other_styles(rows).inputs, extended.inputs), "drawn otherwise"


def test_what_was_redrawn_is_in_mnists_form(digits: Digits) -> None:
    redrawn = styles.with_other_styles(mnist_rows(digits)).inputs[len(digits.labels) :, 0].numpy()
    at = np.arange(SIDE) + 0.5
    for image_u8 in redrawn:
        assert max(cut_to_ink(image_u8).shape) <= 21
        for axis in (0, 1):
            assert np.average(at, weights=image_u8.sum(axis)) == pytest.approx(SIDE / 2 + 0.5, abs=0.6)


def test_rows_without_such_digits_stay_as_they_are() -> None:
    rows = Rows(torch.zeros(3, 1, SIDE, SIDE, dtype=torch.uint8), torch.tensor([0, 2, 3]))
    assert torch.equal(styles.with_other_styles(rows).inputs, rows.inputs)
