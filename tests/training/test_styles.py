"""MNIST's digits redrawn as other people write them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from service.engine.predictor import Predictor
from service.pictures.digits.mnist_form import SIDE
from tests.conftest import Digits, mnist_rows
from training.data import Pixels, Rows
from training.digits.drawn import styles
from training.digits.drawn.digit_strokes import WAYS, Way, written
from training.digits.drawn.digits import SHARES, prepared_with_label, ways
from training.digits.drawn.prepared import prepared
from training.digits.drawn.styles import Digit
from training.fitting.fit import batched


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


def ink_at_the_middle(image_u8: Pixels) -> float:
    """The strongest of the pixels about the middle of the ink."""
    ink = cut_to_ink(image_u8)
    height, width = ink.shape
    return float(ink[height // 2 - 2 : height // 2 + 3, width // 2 - 2 : width // 2 + 2].astype(int).sum())


@pytest.mark.parametrize(
    ("style", "label", "measure", "sign"),
    [
        (styles.flagged, 1, ink_for_its_height, 1),
        (styles.barred, 7, most_ink_in_a_row, 1),
        (styles.curled, 9, ink_left_of_the_stem, 1),
        (styles.roofed, 5, width_over_height, 1),
        (styles.short_stemmed, 4, height_of_the_widest_row, -1),
        (styles.slashed, 0, ink_at_the_middle, 1),
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
    at = count
    for label, share in styles.STYLES.values():
        redrawn = round(share * int((rows.targets == label).sum()))
        assert extended.targets[at : at + redrawn].tolist() == [label] * redrawn != []
        at += redrawn
    drawn = sum(round(share * count) for name, share in SHARES.items() if name in ways(rows))
    assert len(extended.targets) == len(extended.inputs) == at + drawn
    assert len(extended.targets) < 2 * count, "MNIST's own are no longer most of them"
    assert int(extended.targets[at:].bincount().min()) > 3
    assert torch.equal(styles.with_other_styles(rows).inputs, extended.inputs), "drawn otherwise"


def test_what_was_redrawn_is_in_mnists_form(digits: Digits) -> None:
    redrawn = styles.with_other_styles(mnist_rows(digits)).inputs[len(digits.labels) :, 0].numpy()
    at = np.arange(SIDE) + 0.5
    for image_u8 in redrawn:
        assert max(cut_to_ink(image_u8).shape) <= 21
        for axis in (0, 1):
            assert np.average(at, weights=image_u8.sum(axis)) == pytest.approx(SIDE / 2 + 0.5, abs=0.6)


def test_rows_without_such_digits_stay_as_they_are() -> None:
    rows = Rows(torch.zeros(1, 1, SIDE, SIDE, dtype=torch.uint8), torch.tensor([2]))
    assert torch.equal(styles.with_other_styles(rows).inputs, rows.inputs)


# What nets that saw MNIST alone take for another digit, and people do not: 8, 5, 7 or 0, 7.
MISREAD = {(0, "slashed"), (6, "square"), (8, "square"), (9, "square without a foot")}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.label} {way.name}")
def test_what_is_written_is_the_digit_that_it_is_said_to_be(way: Way, model: Predictor) -> None:
    random = np.random.default_rng(0)
    images_u8 = np.stack([prepared(lambda random: written(way, random), random) for _ in range(8)])
    assert images_u8.shape == (8, SIDE, SIDE)
    read = batched(model.predict, torch.from_numpy(images_u8[:, None]))[:, :10].argmax(1)
    assert (way.label, way.name) in MISREAD or int((read == way.label).sum()) >= 5, read.tolist()


def test_what_else_is_drawn_is_the_digit_that_it_is_said_to_be(digits: Digits, model: Predictor) -> None:
    for name, draw in ways(mnist_rows(digits)).items():
        random = np.random.default_rng(0)
        images, labels = zip(*[prepared_with_label(draw, random) for _ in range(60)], strict=True)
        read = batched(model.predict, torch.from_numpy(np.stack(images)[:, None]))[:, :10].argmax(1)
        assert float((read == torch.tensor(labels)).float().mean()) > 0.75, name
