"""What digits and no digits from elsewhere are stood in for by, when a model is evaluated."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from service.engine.predictor import Predictor
from tests.conftest import ROOT, Digits, png
from training.digits.drawn import fonts
from training.digits.held_out import displays, non_digits, signs
from training.digits.held_out.sources import SOURCES, Source
from training.digits.robustness import REFUSED, Robustness, digits_of, examine_other_digits, read
from training.fitting.fit import batched

DIGITS = 16
LEAST_RIGHT = 0.7  # by the served net: whatever a source changes, it stays the digit that it was


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_source_draws_the_digit_by_its_seed(digits: Digits, model: Predictor, source: Source) -> None:
    def drawn(seed: int) -> list[bytes]:
        random = np.random.default_rng(seed)
        chosen = zip(digits.images_u8[:DIGITS], digits.labels[:DIGITS].tolist(), strict=True)
        return [source.draw(image_u8, label, random) for image_u8, label in chosen]

    files = drawn(0)
    assert files[:4] == drawn(0)[:4] != drawn(1)[:4]
    predicted = batched(model.predict, read(files))[:, :10].argmax(1).numpy()
    assert (predicted == digits.labels[:DIGITS]).mean() >= LEAST_RIGHT


def test_what_is_refused_is_wrong_whatever_was_drawn(digits: Digits) -> None:
    prepared = read([png(np.zeros((28, 28), np.uint8)), png(digits.images_u8[0])])
    assert digits_of(torch.eye(11)[[3, 3]], prepared).tolist() == [REFUSED, 3]


def test_of_other_digits_those_as_they_are_say_how_many_are_called_none() -> None:
    found, scores = Robustness(20), iter((0.0, 1.0, 1.0, 1.0))

    def predict(prepared: Tensor) -> Tensor:
        return torch.cat([torch.zeros(len(prepared), 10), torch.full((len(prepared), 1), next(scores))], 1)

    examine_other_digits(found, predict, 0.5)
    assert (found.other_digits_flagged, found.other_digits_n) == (0.0, 20)


def test_every_bar_is_of_something_that_is_drawn(digits: Digits) -> None:
    kinds = non_digits.kinds(digits.images_u8)
    assert set(non_digits.BARS) <= set(kinds)
    assert set(signs.KINDS) <= set(non_digits.BARS)
    for name in signs.KINDS:
        first, again = (kinds[name](np.random.default_rng(0)).tobytes() for _ in range(2))
        assert first == again


def test_nothing_that_is_trained_on_draws_with_what_is_held_out() -> None:
    """Neither its modules nor its fonts; the letters and symbols are asked of in test_negatives."""
    trained_on = list((ROOT / "training" / "digits" / "drawn").glob("*.py"))
    assert len(trained_on) > 8
    for path in trained_on:
        assert not {"held_out", "non_digits", "sheets", "robustness"} & _words_imported(path), path
    for name in (*non_digits.FONTS, *displays.FONTS):
        [family] = {font.family for font in fonts.fonts_of(EVALUATED) if font.path.stem == name}
        assert family not in fonts.HAND_LIKE | fonts.PRINTED


EVALUATED = fonts.HELD_OUT_PRINTED


def _words_imported(path: Path) -> set[str]:
    words: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            words |= {*(node.module or "").split("."), *(alias.name for alias in node.names)}
    return words
