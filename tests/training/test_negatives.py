"""Pictures of no digit, to train on: others than those of the evaluation, and like no digit."""

import numpy as np
import torch
from rich.console import Console

from service.engine.predictor import Predictor
from service.pictures.digits.mnist_form import SIDE
from tests.conftest import Digits, mnist_rows
from training.digits.drawn import fonts, letters, negatives, symbols
from training.digits.drawn.beside import digits_with_something_beside
from training.digits.drawn.closed_figures import closed_figure
from training.digits.drawn.prepared import prepared
from training.fitting.fit import batched

CALLED_NO_DIGIT = (
    0.06  # of digits with something beside them at most; of one in eight, before these were learnt
)
CALLED_A_DIGIT = 0.05  # of closed figures at most; one in five, before these were learnt
ASKED_IN_VAIN = 0.35  # share of them that today's net may take for a digit: two in three are plainly none


def test_what_is_evaluated_is_never_trained_on() -> None:
    assert not (fonts.HAND_LIKE | fonts.PRINTED) & (fonts.HELD_OUT_HAND_LIKE | fonts.HELD_OUT_PRINTED)
    assert not set(letters.TRAINED) & set(letters.NEVER_TRAINED)
    assert not set(letters.TRAINED_STROKES) & set(letters.HELD_OUT_STROKES)
    assert set(letters.TRAINED_STROKES) <= set(letters.TRAINED)
    assert set(letters.HELD_OUT_STROKES) <= set(letters.NEVER_TRAINED)
    assert not set(symbols.CHARACTERS) & set(symbols.HELD_OUT_CHARACTERS)
    assert not set(symbols.STROKES.values()) & set(symbols.HELD_OUT_STROKES.values())


def test_the_fonts_that_are_drawn_with_are_those_of_training() -> None:
    """Those of matplotlib are there on every machine; those of the evaluation are not used."""
    assert {"cmr10", "cmss10"} <= set(negatives.families()) <= negatives.FAMILIES


def test_they_are_drawn_by_their_seed(digits: Digits) -> None:
    digits_u8 = mnist_rows(digits).inputs
    drawn = negatives.negatives(digits_u8, 40, seed=1)
    assert drawn.shape == (40, 1, SIDE, SIDE)
    assert drawn.dtype == torch.uint8
    assert bool((drawn.flatten(1).amax(1) > 127).all()), "nothing to be seen"
    assert torch.equal(drawn, negatives.negatives(digits_u8, 40, seed=1))
    assert not torch.equal(drawn, negatives.negatives(digits_u8, 40, seed=2))


def test_every_kind_is_no_digit(digits: Digits, model: Predictor) -> None:
    """To the served net, which was trained on none of them."""
    random = np.random.default_rng(0)
    drawn = {
        name: torch.from_numpy(np.stack([prepared(draw, random) for _ in range(60)])[:, None])
        for name, (draw, _) in negatives.kinds(digits.images_u8).items()
    }
    assert len(drawn) >= 7  # symbols of fonts, where there are such fonts
    for kind, images_u8 in drawn.items():
        score = batched(model.predict, images_u8)[:, 10]
        assert float((score < 0.5).float().mean()) < ASKED_IN_VAIN, kind


def test_digits_with_something_beside_them_are_drawn_by_their_seed(digits: Digits) -> None:
    digits_u8, quiet = mnist_rows(digits).inputs, Console(quiet=True)
    drawn = digits_with_something_beside(digits_u8, 40, 1, quiet)
    assert drawn.shape == (40, 1, SIDE, SIDE)
    assert drawn.dtype == torch.uint8
    assert torch.equal(drawn, digits_with_something_beside(digits_u8, 40, 1, quiet))
    assert not torch.equal(drawn, digits_with_something_beside(digits_u8, 40, 2, quiet))
    assert len(digits_with_something_beside(digits_u8, 0, 1, quiet)) == 0


def test_a_digit_with_something_beside_it_is_a_digit(digits: Digits, model: Predictor) -> None:
    """As "7." is, and a 7 beside what is left of a line: of digits that were never trained on."""
    drawn = digits_with_something_beside(mnist_rows(digits).inputs, 400, 1, Console(quiet=True))
    score = batched(model.predict, drawn)[:, 10]
    assert float((score >= 0.5).float().mean()) <= CALLED_NO_DIGIT


def test_closed_figures_are_no_digits(model: Predictor) -> None:
    """Triangles, kites and domes: without such in its training a net takes most for a 0 or a 9."""
    random = np.random.default_rng(1)
    images_u8 = torch.from_numpy(np.stack([prepared(closed_figure, random) for _ in range(400)])[:, None])
    score = batched(model.predict, images_u8)[:, 10]
    assert float((score < 0.5).float().mean()) <= CALLED_A_DIGIT
