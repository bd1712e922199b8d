"""What hands draw when they write nothing: loops, spirals, faces, hatching, shapes of hands, blots."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training.digits.drawn.hand import SHEET, Floats, Random, ink_of, rotation

MIDDLE = SHEET / 2


def loops(random: Random) -> Image.Image:
    """Three to nine turns, running on to one side: on one place they would be a fat 0."""
    turns, reach = random.uniform(3, 9), random.uniform(25, 60)
    at = np.linspace(0, 1, round(24 * turns))
    radius = random.uniform(12, 40) * (1 + 0.25 * np.sin(2 * math.pi * random.uniform(0.5, 2) * at))
    angle = 2 * math.pi * turns * at
    x = radius * np.cos(angle) + reach * (2 * at - 1)
    return _drawn(
        [_turned(np.stack([x, random.uniform(0.5, 1.3) * radius * np.sin(angle)], 1), random)], random
    )


def waves_over_waves(random: Random) -> Image.Image:
    """A curve of two swings at different paces, which crosses itself many times; 1 to 2 would be an 8."""
    at = np.linspace(0, 2 * math.pi, 160)
    paces = ((2, 3), (3, 4), (2, 5), (3, 5), (4, 5), (5, 6), (3, 7))[random.integers(7)]
    x, y = (50 * np.sin(pace * at + random.uniform(0, 6)) for pace in paces)
    y = y * random.uniform(0.5, 1)
    return _drawn([_turned(np.stack([x, y], 1), random)], random)


def spiral(random: Random) -> Image.Image:
    """Of two to five turns: one and a half would be a 6 or a 9."""
    turns = random.uniform(2.3, 5)
    angle = np.linspace(0, 2 * math.pi * turns, round(30 * turns))
    radius = 55 * angle / angle[-1]
    return _drawn([_turned(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), random)], random)


def hatching(random: Random) -> Image.Image:
    """To and fro, as where something is blacked out."""
    count, size = int(random.integers(5, 13)), random.uniform(30, 50, 2)
    x = np.linspace(-1, 1, count) + random.normal(0, 0.05, count)
    y = np.where(np.arange(count) % 2, 1, -1) * random.uniform(0.7, 1.1, count)
    paths = [_turned(np.stack([x, y], 1) * size, random)]
    if random.random() < 0.4:
        paths.append(_turned(np.stack([y, x], 1) * size, random))
    return _drawn(paths, random, (2, 5))


def face(random: Random) -> Image.Image:
    """Round, with eyes, a mouth, perhaps a nose, ears or hair."""
    outline = _ring(0, 0, 52, random.uniform(42, 56), random)
    eyes = random.uniform(14, 22)
    high = random.uniform(10, 22)
    paths = [outline]
    for side in (-1, 1):
        paths.append(_ring(side * eyes, -high, random.uniform(2, 9), random.uniform(2, 9), random))
    smile, bow = np.linspace(-1, 1, 9), random.uniform(-14, 14)
    paths.append(np.stack([random.uniform(14, 28) * smile, 22 + bow * (1 - smile**2)], 1))
    if random.random() < 0.5:
        paths.append(np.array([[0.0, -5.0], [-5.0, 10.0], [3.0, 11.0]]))
    if random.random() < 0.3:
        paths += [_ring(side * 60, 0, 9, 14, random) for side in (-1, 1)]
    if random.random() < 0.3:
        paths += [np.array([[x, -48.0], [x * 1.3, -70.0]]) for x in np.linspace(-30, 30, 7)]
    return _drawn(paths, random, (2, 6))


def star_of_lobes(random: Random) -> Image.Image:
    """A closed curve with three to seven lobes: a clover, a cloud, a gear; outlined or filled."""
    lobes, depth = int(random.integers(3, 8)), random.uniform(0.45, 0.75)
    at = np.linspace(0, 2 * math.pi, 120)
    wave = np.cos(lobes * at)
    radius = 40 * (1 + depth * (np.abs(wave) if random.random() < 0.3 else wave))
    radius = radius * (1 + 0.12 * np.sin(2 * at + random.uniform(0, 6)))
    path = _turned(np.stack([radius * np.cos(at), radius * np.sin(at)], 1), random)
    return _filled([path]) if random.random() < 0.5 else _drawn([path], random)


def blot(random: Random) -> Image.Image:
    """A filled shape without a name."""
    at = np.linspace(0, 2 * math.pi, 100)
    radius = 40 + sum(
        random.uniform(8, 30) / order * np.sin(order * at + random.uniform(0, 6))
        for order in (1, 3, 4, 5, 7)
    )
    radius = np.maximum(radius, 6)
    return _filled([_turned(np.stack([radius * np.cos(at), radius * np.sin(at)], 1), random)])


def hand_shape(random: Random) -> Image.Image:
    """A palm, two to five fingers and a wrist; filled, or its outline."""
    sheet = Image.new("L", (SHEET, SHEET))
    drawing = ImageDraw.Draw(sheet)
    turn, palm = random.uniform(-0.5, 0.5), random.uniform(20, 27)
    if random.random() < 0.3:
        turn += random.choice([math.pi / 2, -math.pi / 2, math.pi])
    thick = random.uniform(9, 14)
    fingers = int(random.integers(2, 6))

    def bar(angle: float, start: float, end: float, width: float) -> None:
        direction = np.array([math.sin(angle), -math.cos(angle)])
        ends = [tuple((MIDDLE + at * direction).tolist()) for at in (start, end)]
        drawing.line(ends, fill=255, width=round(width))
        drawing.circle(ends[1], width / 2 - 0.5, fill=255)

    drawing.circle((MIDDLE, MIDDLE), palm, fill=255)
    for angle in np.sort(random.choice([-1.25, -0.45, -0.15, 0.15, 0.45], fingers, replace=False)):
        bar(angle * random.uniform(0.85, 1.2) + turn, 5, random.uniform(45, 62), thick)
    bar(turn + math.pi, 5, random.uniform(40, 70), random.uniform(24, 36))
    if random.random() < 0.35:
        outer = sheet.filter(ImageFilter.MaxFilter(5))
        sheet = Image.fromarray(np.asarray(outer) - np.asarray(sheet.filter(ImageFilter.MinFilter(3))))
    return sheet


def spots(random: Random) -> Image.Image:
    """Soft noise, cut off at a level or not: stains, marble, crumpled paper."""
    count = int(random.integers(4, 14))
    noise = Image.fromarray(random.integers(0, 256, (count, count)).astype(np.uint8))
    sheet = noise.resize((SHEET, SHEET), Image.Resampling.BICUBIC)
    if random.random() < 0.7:
        level = int(random.integers(110, 170))
        sheet = sheet.point([255 * (grey > level) for grey in range(256)])
    return sheet


def crumbs(random: Random) -> Image.Image:
    """Dashes and dots, strewn about."""
    paths = [_straight(random, 50, 0, 14) for _ in range(int(random.integers(4, 30)))]
    return _drawn(paths, random, (3, 8))


def lines_across(random: Random) -> Image.Image:
    """Three to six straight lines at any angles."""
    paths = [_straight(random, 25, 25, 50) for _ in range(int(random.integers(3, 7)))]
    return _drawn(paths, random)


def _straight(random: Random, off: float, shortest: float, longest: float) -> Floats:
    """A line at any angle, its middle at most so far `off` in x and y; lengths are of its halves."""
    at, angle = random.uniform(-off, off, 2), random.uniform(0, math.pi)
    reach = random.uniform(shortest, longest) * np.array([math.cos(angle), math.sin(angle)])
    return np.stack([at - reach, at + reach])


def lines_of_a_form(random: Random) -> Image.Image:
    """What is left of an empty cell: two or three lines, or one that is level: an upright one is a 1."""
    left, top, right, bottom = np.array([-1, -1, 1, 1]) * 60 + random.uniform(-12, 12, 4)
    sides = {
        "top": [[left, top], [right, top]],
        "bottom": [[left, bottom], [right, bottom]],
        "left": [[left, top], [left, bottom]],
        "right": [[right, top], [right, bottom]],
    }
    choices = (
        "top",
        "bottom",
        "left top",
        "left bottom",
        "left right",
        "left right bottom",
        "left right top",
    )
    chosen = choices[random.integers(len(choices))].split()
    paths = [np.array(sides[side]) + random.normal(0, 4, (2, 2)) for side in chosen]
    return _drawn(paths, random, (2, 8))


DOODLES: dict[Callable[[Random], Image.Image], float] = {
    loops: 3,
    waves_over_waves: 2,
    spiral: 1.5,
    hatching: 2,
    face: 2.5,
    star_of_lobes: 2,
    blot: 2,
    hand_shape: 5,
    spots: 2,
    crumbs: 1,
    lines_across: 2,
    lines_of_a_form: 2,
}


def _turned(points: Floats, random: Random) -> Floats:
    turned: Floats = points @ rotation(random.uniform(0, 2 * math.pi))
    return turned


def _ring(x: float, y: float, width: float, height: float, random: Random) -> Floats:
    angle = np.linspace(0, 2 * math.pi * random.uniform(0.93, 1.07), 32)
    ring: Floats = np.stack([x + width * np.sin(angle), y - height * np.cos(angle)], 1)
    return ring


def _drawn(paths: list[Floats], random: Random, pen: tuple[float, float] = (2, 9)) -> Image.Image:
    return ink_of([path + MIDDLE for path in paths], random.uniform(*pen))


def _filled(paths: list[Floats]) -> Image.Image:
    sheet = Image.new("L", (SHEET, SHEET))
    for path in paths:
        ImageDraw.Draw(sheet).polygon([(x, y) for x, y in (path + MIDDLE).tolist()], fill=255)
    return sheet
