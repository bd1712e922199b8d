"""Digits of seven segments, as displays have them."""

import numpy as np
from PIL import Image, ImageDraw

from training.digits.drawn.hand import SHEET, Floats, Random

# From the top clockwise, the middle last, of a display one wide and two high: where each begins and ends.
SEGMENTS = {
    "a": ((0, 0), (1, 0)),
    "b": ((1, 0), (1, 1)),
    "c": ((1, 1), (1, 2)),
    "d": ((0, 2), (1, 2)),
    "e": ((0, 1), (0, 2)),
    "f": ((0, 0), (0, 1)),
    "g": ((0, 1), (1, 1)),
}
LIT = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")
ALSO_LIT = {6: "cdefg", 7: "abcf", 9: "abcfg"}  # other makers' displays


def any_display(random: Random) -> tuple[Image.Image, int]:
    """Slanted or not, thick or thin, with gaps and the faint segments that are not lit: and the digit."""
    label = int(random.integers(10))
    lit = ALSO_LIT[label] if label in ALSO_LIT and random.random() < 0.35 else LIT[label]
    high = random.uniform(35, 45)  # pixels, of a segment
    wide, thick = high * random.uniform(0.65, 1.15), high * random.uniform(0.12, 0.45)
    gap, pointed = thick * random.uniform(0, 0.5), random.random() < 0.6
    slant = random.uniform(-0.02, 0.25) if random.random() < 0.6 else 0.0
    unlit = int(random.uniform(15, 60)) if random.random() < 0.2 else 0
    sheet = Image.new("L", (SHEET, SHEET))
    drawing = ImageDraw.Draw(sheet)
    for name in sorted(SEGMENTS, key=lambda name: name in lit):
        ends = np.array(SEGMENTS[name]) * (wide, high) - (wide / 2, high)
        outline = _bar(ends, thick, gap, pointed)
        outline[:, 0] -= slant * outline[:, 1]
        points = [(x, y) for x, y in (outline + SHEET / 2).tolist()]
        drawing.polygon(points, fill=255 if name in lit else unlit)
    return sheet, label


def _bar(ends: Floats, thick: float, gap: float, pointed: bool) -> Floats:
    """The outline of a segment from end to end, `[6, 2]`; with points, or blunt."""
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    across = along[::-1] * thick / 2
    start, end = ends[0] + along * gap / 2, ends[1] - along * gap / 2
    inward = along * (thick / 2 if pointed else 0)
    outline: Floats = np.array(
        [
            *(start, start + inward + across, end - inward + across),
            *(end, end - inward - across, start + inward - across),
        ]
    )
    return outline
