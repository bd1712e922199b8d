"""Why a picture is not that of one digit, in a word that programs may rely on."""

from typing import Literal

import numpy as np

from service.pictures.digits.mnist_form import SIDE
from service.pictures.digits.preparation import Prepared, Shares
from service.pictures.digits.side_by_side import apart

Reason = Literal["several_digits", "mostly_outside", "no_digit"]

AT_BORDER = 0.015  # of the picture's side: ink so near to the border goes on beyond it
INK = 64  # grey level of the 28×28 pixels
# Width over height of what is wider than a digit, and may be several that touch; and how much of its box is
# ink where it is but a bar.
WIDE, FULL = 1.35, 0.88


def reason_for(pixels: bytes, prepared: Prepared | None) -> Reason:
    """Of what the model calls no digit. `pixels`: 28×28 bytes, as it read them; `prepared`: where from."""
    if prepared and prepared.beside:
        return "several_digits"
    if prepared and _is_cut_off(prepared.box):
        return "mostly_outside"
    mask = np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE) > INK
    ink = mask[np.ix_(mask.any(axis=1), mask.any(axis=0))]
    height, width = ink.shape
    is_wide = height > 0 and width >= WIDE * height and ink.mean() < FULL
    return "several_digits" if is_wide or apart(ink) else "no_digit"


def _is_cut_off(box: Shares) -> bool:
    """At one border, or two that meet: between two that face each other is what was cut out."""
    left, top, right, bottom = box
    across, down = (_ends_at_border(*edges) for edges in ((left, right), (top, bottom)))
    return max(across, down) == 1


def _ends_at_border(start: float, end: float) -> int:
    return (start <= AT_BORDER) + (end >= 1 - AT_BORDER)
