"""Wheels of counters and displays of seven segments, as a telephone sees them."""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from training.digits.drawn.hand import Random
from training.digits.held_out.paper import jpeg

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "STIXGeneral")
SIDE = 120  # pixels, the height of a window

# Whether a segment is lit, for each digit: top, upper left and right, middle, lower left and right, bottom.
TABLE = (
    *("1110111", "0010010", "1011101", "1011011", "0111010"),
    *("1101011", "1101111", "1010010", "1111111", "1111011"),
)


def wheel(label: int, random: Random) -> bytes:
    """A printed digit on a wheel, light on dark or dark on light, in the frame of its window."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(folder / f"{random.choice(FONTS)}.ttf", int(random.integers(66, 92)))
    width = int(random.integers(72, 96))
    cover = Image.new("L", (width, SIDE))
    shift = random.uniform(-6, 6)
    ImageDraw.Draw(cover).text((width / 2, SIDE / 2 + shift), str(label), fill=255, font=font, anchor="mm")
    return _seen(cover, random)


def display(label: int, random: Random) -> bytes:
    """Seven segments with blunt or round ends, slanted or not, dark on grey or bright on black."""
    wide, high = random.uniform(24, 34), random.uniform(34, 42)
    thick, gap = random.uniform(4, 11), random.uniform(1, 5)
    ends = [
        ((0, 0), (1, 0)),
        ((0, 0), (0, 1)),
        ((1, 0), (1, 1)),
        ((0, 1), (1, 1)),
        ((0, 1), (0, 2)),
        ((1, 1), (1, 2)),
        ((0, 2), (1, 2)),
    ]
    cover = Image.new("L", (84, SIDE))
    drawing, lean = ImageDraw.Draw(cover), random.choice([0.0, 0.1, 0.18])
    for is_lit, segment in zip(TABLE[label], ends, strict=True):
        if is_lit == "0":
            continue
        start, end = (np.array(at) * (wide, high) for at in segment)
        along = (end - start) / np.linalg.norm(end - start) * (gap / 2 + thick / 3)
        points = []
        for x, y in (start + along, end - along):
            points.append((42 + x - wide / 2 - lean * (y - high), SIDE / 2 + y - high))
        drawing.line(points, fill=255, width=round(thick))
    return _seen(cover, random)


def _seen(cover: Image.Image, random: Random) -> bytes:
    """In its window: a frame around or not, uneven light, blur, noise."""
    width, height = cover.size
    levels = np.asarray(cover.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 2.0))), dtype=float) / 255
    light_on_dark = random.random() < 0.5
    ground = random.uniform(15, 60) if light_on_dark else random.uniform(140, 220)
    ink = random.uniform(170, 250) if light_on_dark else random.uniform(20, 70)
    y = np.linspace(-1, 1, height)[:, None]
    seen = (ground + (ink - ground) * levels) * (1 - random.uniform(0, 0.3) * y**2)
    if random.random() < 0.5:
        frame = int(random.integers(3, 9))
        level = random.uniform(90, 240) if light_on_dark else random.uniform(20, 110)
        padded = np.full((height + 2 * frame, width + 2 * frame), level)
        padded[frame:-frame, frame:-frame] = seen
        seen = padded
    return jpeg(seen + random.normal(0, random.uniform(1, 8), seen.shape), int(random.integers(55, 92)))
