"""Pictures that are not of one digit, to train on: as they are once the service has prepared them.

Fonts, letters, symbols and generators are others than those of the evaluation (`held_out`).
"""

import numpy as np
import torch
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track
from torch import Tensor

from training.data import Pixels
from training.digits.drawn import doodles, fonts, letters, symbols
from training.digits.drawn.closed_figures import closed_figure
from training.digits.drawn.hand import Hand, Random, skeleton, warped
from training.digits.drawn.made_up import made_up
from training.digits.drawn.prepared import Draw, prepared

FAMILIES = fonts.HAND_LIKE | fonts.PRINTED
MARGIN = 12  # pixels around digits that are put together or cut


def negatives(digits_u8: Tensor, count: int, seed: int, console: Console | None = None) -> Tensor:
    """`digits_u8 [N, 1, 28, 28]`, to put together and to cut; → `images_u8 [count, 1, 28, 28]`.

    2 ms each on one core; `console` shows how far it is.
    """
    random = np.random.default_rng(seed)
    draws, shares = zip(*kinds(digits_u8[:, 0].numpy()).values(), strict=True)
    chosen = random.choice(len(draws), count, p=np.array(shares) / sum(shares))
    shown = track(chosen, "drawing what is no digit", console=console, disable=not console)
    images_u8 = np.stack([prepared(draws[kind], random) for kind in shown])
    return torch.from_numpy(images_u8[:, None])


def kinds(digits_u8: Pixels) -> dict[str, tuple[Draw, float]]:
    """What is drawn, and how large a share of all. `digits_u8 [N, 28, 28]`."""
    drawn: dict[str, tuple[Draw, float]] = {
        "letters in random hands": (_in_hand(letters.TRAINED_STROKES), 18),
        "symbols in random hands": (_in_hand(symbols.STROKES), 14),
        "signs that are made up": (made_up, 24),
        "closed figures": (closed_figure, 10),
        "doodles": (_doodle, 20),
        "several digits": (_several(digits_u8), 14),
        "parts of digits": (_part(digits_u8), 4),
    }
    of_fonts = {"letters of fonts": (letters.TRAINED, 24), "symbols of fonts": (symbols.CHARACTERS, 6)}
    for name, (characters, share) in of_fonts.items():
        if write := fonts.writer(FAMILIES, characters):
            drawn[name] = _of_fonts(write), share
    return drawn


def families() -> tuple[str, ...]:
    """The fonts of this machine that are drawn with."""
    return fonts.families_at_hand(FAMILIES)


def _of_fonts(write: fonts.Write) -> Draw:
    return lambda random: warped(write(random)[0], random)


def _in_hand(strokes: dict[str, str]) -> Draw:
    skeletons = [skeleton(text) for text in strokes.values()]
    return lambda random: Hand(random).write(skeletons[random.integers(len(skeletons))])


def _doodle(random: Random) -> Image.Image:
    draws, shares = zip(*doodles.DOODLES.items(), strict=True)
    return draws[random.choice(len(draws), p=np.array(shares) / sum(shares))](random)  # type: ignore[no-any-return]


def _several(digits_u8: Pixels) -> Draw:
    """Two or three digits beside or across one another, or three in a column: 0 over 0 would be an 8."""

    def draw(random: Random) -> Image.Image:
        down, x, y = random.random() < 0.1, 0.0, 0.0
        placed = []
        for _ in range(3 if down or random.random() < 0.25 else 2):
            digit = _cut_out(digits_u8[random.integers(len(digits_u8))], random.uniform(34, 44))
            placed.append((digit, round(x), round(y)))
            apart, aside = random.uniform(-10, 8), random.uniform(-6, 6)
            x, y = (x + aside, y + digit.height + apart) if down else (x + digit.width + apart, y + aside)
        left, top = min(x for _, x, _ in placed), min(y for _, _, y in placed)
        right = max(x + digit.width for digit, x, _ in placed)
        bottom = max(y + digit.height for digit, _, y in placed)
        sheet = Image.new("L", (right - left + 2 * MARGIN, bottom - top + 2 * MARGIN))
        for digit, x_at, y_at in placed:
            sheet.paste(digit, (x_at - left + MARGIN, y_at - top + MARGIN), digit)
        return sheet

    return draw


def _part(digits_u8: Pixels) -> Draw:
    """The top or the foot of a digit, twice as wide as high: a narrower one can be a 1 or a 0."""

    def draw(random: Random) -> Image.Image:
        while True:
            digit = _cut_out(digits_u8[random.integers(len(digits_u8))], 80)
            high = round(80 * random.uniform(0.18, 0.3))
            top = 0 if random.random() < 0.5 else 80 - high
            strip = digit.crop((0, top, digit.width, top + high))
            strip = strip.crop(strip.getbbox() or (0, 0, 1, 1))
            if strip.width > 2 * strip.height:
                return ImageOps.expand(strip, MARGIN)

    return draw


def _cut_out(image_u8: Pixels, high: float) -> Image.Image:
    """A digit without what is around it, enlarged to a height."""
    picture = Image.fromarray(image_u8)
    picture = picture.crop(picture.getbbox() or (0, 0, 1, 1))
    size = (max(4, round(picture.width * high / picture.height)), round(high))
    return picture.resize(size, Image.Resampling.BICUBIC)
