"""Digits of MNIST on sheets as people scan, draw and photograph them: what the service is evaluated on.

Every sheet is an encoded picture, as a client would upload it. Nothing here is used to train on.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from training.data import Pixels
from training.digits.held_out.paper import jpeg, png

Floats = NDArray[Any]
Ground = Callable[[int, np.random.Generator], Floats]

SIDE = 280


class Look(NamedTuple):
    """How a digit is put on paper. Levels are grey, 0 to 255; lengths are pixels of a sheet of SIDE."""

    ink: float = 30.0
    ground: Ground | float = 245.0
    side: int = SIDE  # of the finished picture
    scale: float = 7.0  # of the 28 pixels, so that 7 makes the digit half as high as the sheet
    offset: tuple[float, float] = (0.0, 0.0)  # of the middle, in shares of the free border
    stroke: int = 0  # thicker by so many pixels on either side; thinner when negative
    degrees: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    shadow: float = 0.0  # share of the light that a shadow with a soft edge takes away
    frame: bool = False
    colours: tuple[str, str] | None = None  # of ink and ground, instead of levels
    quality: int | None = None  # of a JPEG; a PNG otherwise


def draw(image_u8: Pixels, look: Look, random: np.random.Generator) -> bytes:
    """`image_u8 [28, 28]`, of MNIST → the encoded picture of it on a sheet."""
    cover = np.asarray(_placed(image_u8, look), dtype=np.float64) / 255
    if look.colours:
        ink, ground = (Image.new("RGB", (SIDE, SIDE), colour) for colour in look.colours)
        picture = Image.composite(ink, ground, Image.fromarray((cover * 255).astype(np.uint8)))
        return _encoded(_finished(picture, look), look)
    ground_level = look.ground(SIDE, random) if callable(look.ground) else look.ground
    levels = ground_level * (1 - cover) + look.ink * cover
    if look.shadow:
        y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
        angle, at = random.uniform(0, 2 * math.pi), random.uniform(-0.2, 0.2)
        edge = (x - 0.5) * math.cos(angle) + (y - 0.5) * math.sin(angle) - at
        levels = levels * (1 - look.shadow / (1 + np.exp(-edge * 25)))
    if look.noise:
        levels = levels + random.normal(0, look.noise, levels.shape)
    picture = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    if look.frame:
        ImageDraw.Draw(picture).rectangle((3, 3, SIDE - 4, SIDE - 4), outline=int(look.ink), width=5)
    return _encoded(_finished(picture, look), look)


def _placed(image_u8: Pixels, look: Look) -> Image.Image:
    """The cover of the ink on the sheet, 0 to 255."""
    size = round(28 * look.scale)
    digit = Image.fromarray(image_u8).resize((size, size), Image.Resampling.BICUBIC)
    if look.stroke:
        shape = ImageFilter.MaxFilter if look.stroke > 0 else ImageFilter.MinFilter
        for _ in range(abs(look.stroke)):  # a third of the time of one wide filter, and the same
            digit = digit.filter(shape(3))
    if look.degrees:
        digit = digit.rotate(look.degrees, Image.Resampling.BICUBIC)
    # The digit's own border is empty: a share of 1 brings its ink, not its border, to the sheet's edge.
    free = (SIDE - 20 * look.scale) / 2
    left, top = (round((SIDE - size) / 2 + share * free) for share in look.offset)
    sheet = Image.new("L", (SIDE, SIDE))
    sheet.paste(digit, (left, top))
    return sheet


def _finished(picture: Image.Image, look: Look) -> Image.Image:
    if look.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(look.blur))
    if look.side != SIDE:
        picture = picture.resize((look.side, look.side), Image.Resampling.BOX if look.side < SIDE else 2)
    return picture


def _encoded(picture: Image.Image, look: Look) -> bytes:
    return jpeg(picture, look.quality) if look.quality else png(picture)


def gradient(low: float, high: float) -> Ground:
    """From one level to another, in any direction."""

    def ground(side: int, random: np.random.Generator) -> Floats:
        y, x = np.mgrid[0:side, 0:side] / side - 0.5
        angle = random.uniform(0, 2 * math.pi)
        levels: Floats = (low + high) / 2 + (high - low) * (
            x * math.cos(angle) + y * math.sin(angle)
        ) / 1.42
        return levels

    return ground


def vignette(level: float, depth: float) -> Ground:
    """Darker towards the corners."""

    def ground(side: int, random: np.random.Generator) -> Floats:
        y, x = np.mgrid[0:side, 0:side] / side - 0.5 + random.uniform(-0.1, 0.1)
        levels: Floats = level - depth * (x**2 + y**2) * 2
        return levels

    return ground


def grain(level: float, deviation: float, size: int = 1) -> Ground:
    """Paper or board: noise in spots of `size` pixels."""

    def ground(side: int, random: np.random.Generator) -> Floats:
        count = -(-side // size)
        spots = random.normal(0, deviation, (count, count))
        return level + np.kron(spots, np.ones((size, size)))[:side, :side]

    return ground


def ruled(level: float, line: float, every: int = 36, squared: bool = False) -> Ground:
    """Lined or squared paper."""

    def ground(side: int, random: np.random.Generator) -> Floats:
        at = (np.arange(side) + random.integers(every)) % every < 2
        lines = at[:, None] | (at[None, :] if squared else np.zeros(side, dtype=bool))
        return np.where(lines, line, level)

    return ground


def box(level: float, inner: float) -> Ground:
    """A field of another level around the digit, as on forms."""

    def ground(side: int, random: np.random.Generator) -> Floats:
        margin = int(side * random.uniform(0.03, 0.08))
        sheet = np.full((side, side), level)
        sheet[margin:-margin, margin:-margin] = inner
        return sheet

    return ground


CHALK = 225.0  # ink on dark sheets


def cells() -> dict[tuple[str, str], Look]:
    """The robustness matrix: (factor, level) → the look that differs from the usual sheet in that alone."""
    light, dark = Look(), Look(ink=CHALK, ground=20.0)
    looks: dict[tuple[str, str], Look] = {}

    def both(factor: str, level: str, **changes: Any) -> None:
        looks[factor, f"{level}, dark on light"] = light._replace(**changes)
        looks[factor, f"{level}, light on dark"] = dark._replace(**changes)

    both("polarity", "usual")
    for scale in (2, 3, 5, 9, 11):
        both("scale", f"{2000 * scale // SIDE} % of the height", scale=float(scale))
    for share in (0.4, 0.8, 0.95):
        both("offset", f"{share:.0%} of the free border", scale=4.0, offset=(share, -share))
    for side in (8, 14, 20, 28, 64, 1200):
        both("size", f"{side}×{side} pixels", side=side, scale=11.0 if side < 28 else 9.0)
    for stroke in (-3, -2, 4, 6):
        both("stroke", f"{2 * stroke:+d} pixels", stroke=stroke)
    for degrees in (-15, -8, 8, 15):
        both("rotation", f"{degrees:+d}°", degrees=float(degrees))
    for quality in (10, 30, 60, 90):
        both("JPEG quality", str(quality), quality=quality)
    for noise in (5, 15, 30):
        both("noise", f"σ = {noise}", noise=float(noise))
    for blur in (2, 4, 6):
        both("blur", f"σ = {blur}", blur=float(blur))
    for shadow in (0.2, 0.4, 0.6):
        looks["shadow", f"{shadow:.0%}"] = light._replace(shadow=shadow, ground=235.0)
    for on, level in ((200.0, 245.0), (110.0, 150.0), (150.0, 110.0), (60.0, 20.0)):
        looks["contrast", f"{on:.0f} on {level:.0f}"] = light._replace(ink=on, ground=level)
    looks |= {
        ("ground", "gradient, light"): light._replace(ground=gradient(150, 255)),
        ("ground", "gradient, dark"): dark._replace(ground=gradient(0, 110)),
        ("ground", "vignette"): light._replace(ground=vignette(240, 130)),
        ("ground", "fine grain"): light._replace(ground=grain(215, 14)),
        ("ground", "coarse grain"): light._replace(ground=grain(215, 9, 5)),
        ("ground", "board"): dark._replace(ground=grain(60, 10, 2)),
        ("ground", "ruled"): light._replace(ground=ruled(248, 185)),
        ("ground", "ruled with ink"): light._replace(ground=ruled(248, 60)),
        ("ground", "squared"): light._replace(ground=ruled(248, 190, 28, squared=True)),
        ("ground", "field of a form"): light._replace(ground=box(190, 250)),
        ("ground", "frame"): light._replace(frame=True),
    }
    for colours in (
        ("#c00000", "#008000"),
        ("#0000ff", "#ffffff"),
        ("#ffe000", "#ffffff"),
        ("#d04040", "#4080c8"),
        ("#ffffff", "#e07000"),
    ):
        looks["colour", f"{colours[0]} on {colours[1]}"] = light._replace(colours=colours)
    return looks


def anything(random: np.random.Generator) -> Look:
    """Everything at once, as pictures come: any paper or board, pen, size, place, light, blur and noise."""

    def one_of(*choices: Any) -> Any:
        return choices[random.integers(len(choices))]

    board = random.random() < 0.35
    papers = (245.0, 235.0, gradient(140, 255), vignette(235, 120), grain(215, 12), grain(215, 8, 5))
    printed = (ruled(248, 170), ruled(245, 120, 30), ruled(246, 185, 28, squared=True), box(190, 250))
    boards = (20.0, 35.0, gradient(0, 100), grain(60, 10, 2))
    return Look(
        ink=one_of(200.0, 235.0) if board else one_of(20.0, 50.0, 90.0),
        ground=one_of(*boards) if board else one_of(*papers, *printed),
        side=one_of(56, 100, 280, 280, 640),
        scale=random.uniform(2.5, 8),
        offset=(random.uniform(-0.6, 0.6), random.uniform(-0.6, 0.6)),
        stroke=one_of(-2, 0, 0, 3),
        degrees=random.uniform(-12, 12),
        noise=one_of(0.0, 0.0, 6.0, 14.0),
        blur=one_of(0.0, 0.0, 1.5, 3.0),
        shadow=0.0 if board else one_of(0.0, 0.0, 0.3, 0.5),
        frame=random.random() < 0.05,
        quality=one_of(None, None, 40, 85, 85),
    )
