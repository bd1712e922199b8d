"""Numbers, drawn of MNIST's digits: in a line, in several, and in the boxes of a form."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels = NDArray[np.uint8]

MARGIN = 10  # pixels of 28


def ink_of(images_u8: Sequence[Pixels], gap: int, random: np.random.Generator) -> Pixels:
    """Light ink of digits at so many pixels from each other, up and down a little; overlapping below 0."""
    trimmed = [image_u8[:, image_u8.any(axis=0)] for image_u8 in images_u8]
    width = sum(one.shape[1] for one in trimmed) + max(0, gap) * (len(trimmed) - 1)
    ink = np.zeros((28 + 8, width), np.uint8)
    at = 0
    for one in trimmed:
        at = max(0, at)
        top = int(random.integers(0, 9))
        under = ink[top : top + 28, at : at + one.shape[1]]
        np.maximum(under, one, out=under)
        at += one.shape[1] + gap
    return ink[:, : np.flatnonzero(ink.any(axis=0))[-1] + 1]


def on_paper(ink: Pixels, scale: int = 3, dark: bool = True) -> Image.Image:
    ink = np.pad(ink, MARGIN)
    sheet = Image.fromarray(255 - ink if dark else ink)
    return sheet.resize((scale * sheet.width, scale * sheet.height), Image.Resampling.BICUBIC)


def stacked(lines: Sequence[Pixels]) -> Pixels:
    """Lines of ink under each other, from the same left edge."""
    width = max(line.shape[1] for line in lines)
    return np.concatenate([np.pad(line, ((4, 4), (0, width - line.shape[1]))) for line in lines])


def in_boxes(images_u8: Sequence[Pixels], apart: int, off: int, random: np.random.Generator) -> Image.Image:
    """Each in a box of 40 pixels, `off` its middle at the most; boxes so far `apart`: 0 is a grid."""
    side, scale = 40, 3
    ink = np.zeros((side + 2 * MARGIN, (side + apart) * len(images_u8) + 2 * MARGIN), np.uint8)
    for number, image_u8 in enumerate(images_u8):
        x, y = random.integers(-off, off + 1, 2) + (side - 28) // 2 + MARGIN
        under = ink[y : y + 28, x + number * (side + apart) : x + number * (side + apart) + 28]
        np.maximum(under, image_u8, out=under)
    sheet = Image.fromarray(255 - ink)
    sheet = sheet.resize((scale * sheet.width, scale * sheet.height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(sheet)
    for number in range(len(images_u8)):
        left, top = scale * (MARGIN + number * (side + apart)), scale * MARGIN
        pen.rectangle((left, top, left + scale * side, top + scale * side), outline=60, width=3)
    return sheet


def in_a_comb(
    images_u8: Sequence[Pixels], teeth: int, random: np.random.Generator, below: bool = True
) -> Image.Image:
    """Above a line with teeth so high between them, none of which they touch; or under it."""
    side, scale = 40, 3
    ink = np.zeros((side + 2 * MARGIN, side * len(images_u8) + 2 * MARGIN), np.uint8)
    top = MARGIN + (2 if below else side - 30)
    for number, image_u8 in enumerate(images_u8):
        left = MARGIN + number * side + (side - 28) // 2 + int(random.integers(-1, 2))
        ink[top : top + 28, left : left + 28] = image_u8
    sheet = Image.fromarray(255 - ink)
    sheet = sheet.resize((scale * sheet.width, scale * sheet.height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(sheet)
    level, inward = scale * (MARGIN + side if below else MARGIN), -scale if below else scale
    pen.line((scale * MARGIN, level, sheet.width - scale * MARGIN, level), fill=60, width=3)
    for x in range(scale * MARGIN, sheet.width, scale * side):
        pen.line((x, level, x, level + inward * teeth), fill=60, width=3)
    return sheet
