"""Digits by writers other than MNIST's and other than those that training draws: arcs, lines and a pen."""

import math
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from training.digits.drawn.hand import Floats, Random, rotation

FINE = 2  # drawn so much finer, and then reduced
MARGIN = 0.25  # of the height, around what is written


def arc(x: float, y: float, wide: float, high: float, start: float, end: float) -> Floats:
    """`[M, 2]`, about (x, y), from one angle to the other: degrees, clockwise from the right."""
    at = np.radians(np.linspace(start, end, max(3, round(abs(end - start) / 8))))
    points: Floats = np.stack([x + wide * np.cos(at), y + high * np.sin(at)], axis=1)
    return points


def line(*points: tuple[float, float]) -> Floats:
    """`[M, 2]` along straight lines."""
    ends = np.array(points, dtype=float)
    pieces = [a + np.linspace(0, 1, 10)[:, None] * (b - a) for a, b in pairwise(ends)]
    joined: Floats = np.concatenate(pieces)
    return joined


def strokes(digit: int, random: Random, usual: float = 0.5) -> list[Floats]:
    """Of a digit about one high and 0.6 wide; in MNIST's usual way for this share, and otherwise not."""
    return WRITTEN[digit](random, random.random() < usual)


def _zero(random: Random, usual: bool) -> list[Floats]:
    """Usually as it is, otherwise with a bar from corner to corner."""
    u, begin = random.uniform, random.uniform(-120, -60)
    end = begin + random.choice([-1, 1]) * u(345, 370)
    ring = arc(0.3, 0.5, u(0.25, 0.35), 0.5, begin, end)
    return [ring] if usual else [ring, line((u(0.5, 0.7), u(0, 0.1)), (u(-0.1, 0.1), u(0.9, 1)))]


def _one(random: Random, usual: bool) -> list[Floats]:
    """Or with a long upstroke, perhaps on a foot."""
    u = random.uniform
    if usual:
        return [line((0.3 + u(-0.05, 0.15), 0), (0.3, 1))]
    apex = u(0.35, 0.5)
    written = [line((u(-0.1, 0.1), u(0.3, 0.7)), (apex, 0), (apex + u(-0.05, 0.02), 1))]
    if random.random() < 0.2:
        written.append(line((apex - u(0.2, 0.3), 1), (apex + u(0.2, 0.3), 1)))
    return written


def _two(random: Random, usual: bool) -> list[Floats]:
    """Or with a loop at its foot."""
    head = arc(0.3, 0.28, 0.3, 0.28, random.uniform(-200, -160), 35)
    if usual:
        return [np.concatenate([head, line((0.0, 1.0), (0.6, random.uniform(0.95, 1.0)))])]
    loop = arc(0.1, 0.9, 0.1, 0.08, 40, 320)
    return [np.concatenate([head, loop, line((0.2, 0.92), (0.7, 1.0))])]


def _three(random: Random, usual: bool) -> list[Floats]:
    """Or with a flat roof."""
    belly = arc(0.27, 0.73, 0.3, 0.27, -80, random.uniform(130, 165))
    round_head = arc(0.28, 0.24, 0.25, 0.24, random.uniform(-160, -120), 75)
    roof = line((0.02, 0), (0.55, 0), (0.25, 0.42))
    return [np.concatenate([round_head if usual else roof, belly])]


def _four(random: Random, usual: bool) -> list[Floats]:
    """Or open, of two strokes."""
    u, level = random.uniform, random.uniform(0.55, 0.68)
    if usual:
        return [line((0.4, 0), (0, level), (0.65, level)), line((0.45, 0.3), (0.42, 1))]
    left = line((u(0.05, 0.2), u(0, 0.15)), (u(0, 0.08), level), (0.65, level + u(-0.05, 0.03)))
    return [left, line((u(0.42, 0.55), u(0.15, 0.45)), (u(0.38, 0.48), 1))]


def _five(random: Random, usual: bool) -> list[Floats]:
    """Or with a roof that does not touch it."""
    u = random.uniform
    belly = arc(0.24, 0.7, 0.32, 0.3, -125, u(130, 160))
    roof = line((0.1, 0.02), (u(0.5, 0.65), u(-0.05, 0.03)))
    aside = (0, 0) if usual else (u(0, 0.06), u(-0.08, 0))
    return [np.concatenate([line((0.1, 0.02), (0.07, 0.45)), belly]), roof + np.array(aside)]


def _six(random: Random, usual: bool) -> list[Floats]:
    """Or curled inwards."""
    u, middle = random.uniform, np.array([0.29, 0.7])
    bowl = arc(0.29, 0.7, 0.29, 0.3, 180, -150 if usual else -150 - u(30, 120))
    if not usual:
        bowl = middle + (bowl - middle) * np.linspace(1, u(0.45, 0.75), len(bowl))[:, None]
    return [np.concatenate([arc(0.55, 0.68, 0.55, 0.68, -100, -180), bowl])]


def _seven(random: Random, usual: bool) -> list[Floats]:
    """Or with a bar."""
    u, level = random.uniform, random.uniform(0.42, 0.58)
    written = [line((0, 0), (0.6, u(-0.02, 0.05)), (u(0.1, 0.3), 1))]
    if not usual:
        written.append(line((u(0.05, 0.18), level), (u(0.5, 0.66), level + u(-0.06, 0.03))))
    return written


def _eight(random: Random, usual: bool) -> list[Floats]:
    """Of two rings, or open at its top."""
    if usual:
        return [np.concatenate([arc(0.3, 0.25, 0.23, 0.25, 90, -270), arc(0.3, 0.74, 0.3, 0.26, -90, 270)])]
    head = arc(0.3, 0.25, 0.25, 0.25, random.uniform(-50, -20), -250)
    back = line((0.3, 0.48), (0.6, random.uniform(0.05, 0.2)))
    return [np.concatenate([head, arc(0.3, 0.74, 0.3, 0.26, -70, 230), back])]


def _nine(random: Random, usual: bool) -> list[Floats]:
    """With a straight stem, or with a tail."""
    ring = arc(0.28, 0.27, 0.27, 0.27, -30, -380)
    if usual:
        return [np.concatenate([ring, line((0.55, 0.2), (random.uniform(0.4, 0.55), 1))])]
    tail = arc(0.2, 0.62, 0.35, 0.38, -25, random.uniform(100, 160))
    return [np.concatenate([ring, line((0.55, 0.2), (0.54, 0.45)), tail])]


WRITTEN = (_zero, _one, _two, _three, _four, _five, _six, _seven, _eight, _nine)


def cover(paths: list[Floats], high: int, pen: float, random: Random) -> Image.Image:
    """Of ink, 0 to 255, on a sheet around what is written, `high` pixels; `pen`: its width in pixels.

    Slanted, turned, unsteady, and written with changing pressure.
    """
    angle, slant, wide = (
        math.radians(random.uniform(-9, 9)),
        random.uniform(-0.1, 0.35),
        random.uniform(0.8, 1.2),
    )
    turn = rotation(angle)
    shaped = [
        (_unsteady(path, random) * (wide, 1) @ np.array([[1, 0], [-slant, 1]])) @ turn for path in paths
    ]
    everything = np.concatenate(shaped)
    low, extent = everything.min(0), np.ptp(everything, axis=0)
    scale, margin = FINE * high / max(extent[1], extent[0], 0.3), FINE * (MARGIN * high + pen)
    columns, rows = np.ceil(extent * scale + 2 * margin).astype(int).tolist()
    sheet = Image.new("L", (columns, rows))
    drawing = ImageDraw.Draw(sheet)
    for path in shaped:
        pressure = 1 + 0.2 * np.sin(np.linspace(0, random.uniform(2, 7), len(path)) + random.uniform(0, 6))
        points = (path - low) * scale + margin
        for start, end, press in zip(points.tolist(), points[1:].tolist(), pressure.tolist(), strict=False):
            width = max(1.0, FINE * pen * press)
            drawing.line((*start, *end), fill=255, width=round(width))
            drawing.circle(tuple(end), width / 2 - 0.5, fill=255)
    return sheet.resize((max(1, columns // FINE), max(1, rows // FINE)), Image.Resampling.BOX)


def _unsteady(path: Floats, random: Random) -> Floats:
    """With a tremor that fades slowly."""
    drift = random.normal(0, 0.02, (len(path) + 8, 2))
    smooth = np.stack([np.convolve(drift[:, axis], np.ones(9) / 3, "valid") for axis in (0, 1)], axis=1)
    wandered: Floats = path + smooth[: len(path)]
    return wandered
