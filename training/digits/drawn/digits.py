"""Digits that MNIST has not, with what they are: in random hands, of displays, of fonts, stretched."""

from collections.abc import Callable
from itertools import chain

import numpy as np
import torch
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track

from training.data import Pixels, Rows
from training.digits.drawn import fonts
from training.digits.drawn.digit_strokes import any_way
from training.digits.drawn.hand import Random, warped
from training.digits.drawn.prepared import prepared
from training.digits.drawn.segments import any_display

# How many of each are drawn, in shares of the rows that there are.
SHARES = {"random hands": 0.36, "fonts": 0.105, "displays": 0.08, "stretched": 0.155}

FRAME = 16  # pixels a side, of scans in which every digit was stretched to fill its frame
FULLEST = 0.8  # share of a frame that may be ink: an upright 1 fills it, and says nothing

Labelled = Callable[[Random], tuple[Image.Image, int]]


def drawn_digits(rows: Rows, random: Random, console: Console | None = None) -> Rows:
    """As many as SHARES says, for `rows` of MNIST's: `images_u8 [M, 1, 28, 28]`, `labels i64 [M]`.

    `console` shows how far it is.
    """
    images, labels = [rows.inputs[:0]], []
    each = [[draw] * round(SHARES[name] * len(rows.inputs)) for name, draw in ways(rows).items()]
    shown = track(
        list(chain(*each)), "drawing digits that MNIST has not", console=console, disable=not console
    )
    for draw in shown:
        image_u8, label = prepared_with_label(draw, random)
        images.append(torch.from_numpy(image_u8)[None, None])
        labels.append(label)
    return Rows(torch.cat(images), torch.tensor(labels, dtype=rows.targets.dtype))


def ways(rows: Rows) -> dict[str, Labelled]:
    """How each is drawn. `rows`: MNIST's digits, to stretch."""
    drawn = {"random hands": any_way, "displays": any_display, "stretched": _stretched(rows)}
    write = fonts.writer(fonts.HAND_LIKE | fonts.PRINTED, "0123456789")
    return drawn | ({"fonts": _of_fonts(write)} if write else {})


def prepared_with_label(draw: Labelled, random: Random) -> tuple[Pixels, int]:
    """`u8 [28, 28]`, and the digit that it is."""
    label = -1

    def picture(random: Random) -> Image.Image:
        nonlocal label
        drawn, label = draw(random)
        return drawn

    return prepared(picture, random), label


def _of_fonts(write: fonts.Write) -> Labelled:
    def draw(random: Random) -> tuple[Image.Image, int]:
        picture, text = write(random)
        return warped(picture, random, degrees=8, slant=0.15, bend=0.025), int(text)

    return draw


def _stretched(rows: Rows) -> Labelled:
    """MNIST's, and those in random hands, fitted to a black-and-white frame in both directions."""
    digits_u8, labels = rows.inputs[:, 0].numpy(), rows.targets.tolist()

    def draw(random: Random) -> tuple[Image.Image, int]:
        while True:
            if random.random() < 0.6:
                index = int(random.integers(len(labels)))
                picture, label = Image.fromarray(digits_u8[index]), labels[index]
            else:
                picture, label = any_way(random)
            frame = fitted(picture, random)
            if np.asarray(frame).mean() < 255 * FULLEST:
                return ImageOps.expand(frame, 2), label

    return draw


def fitted(picture: Image.Image, random: Random) -> Image.Image:
    """Light on black, cut to its ink and made FRAME×FRAME, black and white."""
    ink = picture.point([255 * (level > 100) for level in range(256)])
    small = picture.crop(ink.getbbox()).resize((FRAME, FRAME), Image.Resampling.BOX)
    level = int(random.integers(80, 140))
    return small.point([255 * (grey > level) for grey in range(256)])
