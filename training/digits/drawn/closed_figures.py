"""Closed figures with corners: triangles, diamonds and domes, bare or with strokes in them and on them.

Of such are most things that people draw and no digit is: a kite, a mushroom, a house. A round figure would
be a 0, and one with a single stroke on it a 9 or a closed 4: what is not bare has two strokes or more.
"""

import math

import numpy as np
from PIL import Image

from training.digits.drawn.hand import Floats, Hand, Random, Stroke, rotation
from training.digits.drawn.made_up import fitted, place_on

BARE = 0.4  # share
STROKES, STROKES_SHARES = (2, 3, 4), (0.6, 0.3, 0.1)
INNER = 0.45  # share of the strokes that end on the figure, the others anywhere
SHORTEST, LONGEST = 0.35, 0.9  # a stroke, in shares of the figure's size
BEYOND = (-0.2, 1.5)  # where strokes may end: more below than above
CURVED, CURVE = 0.4, 0.2  # share of the strokes, and how far their middle is off
NEAREST, FARTHEST = 0.8, 2.8  # two corners of a triangle, seen from its middle, in radians


def closed_figure(random: Random) -> Image.Image:
    """Light on black, by a hand of its own."""
    is_bare = random.random() < BARE
    draws = [_triangle, _triangle, _diamond] if is_bare else [_triangle, _diamond, _dome, _dome, _dome]
    strokes = [draws[random.integers(len(draws))](random)]
    for _ in range(0 if is_bare else random.choice(STROKES, p=STROKES_SHARES)):
        strokes.append(_stroke(strokes, random))
    return Hand(random).write(fitted(strokes))


def _triangle(random: Random) -> Stroke:
    """No corner is so near to another, or so far, that it would look like a line."""
    while True:
        angles = np.sort(random.uniform(0, 2 * math.pi, 3))
        apart = np.diff(np.append(angles, angles[0] + 2 * math.pi))
        if apart.min() > NEAREST and apart.max() < FARTHEST:
            return _polygon(angles, random)


def _diamond(random: Random) -> Stroke:
    """On one of its corners: an upright box would be a 0."""
    return _polygon(np.arange(4) * math.pi / 2 + random.normal(0, 0.2, 4), random)


def _polygon(angles: Floats, random: Random) -> Stroke:
    """Corners in these directions from the middle."""
    points = _around(angles) * random.uniform(0.75, 1, (len(angles), 1))
    points = np.roll(points, random.integers(len(points)), axis=0)
    return _closed(points, tuple(range(len(points) + 1)))


def _dome(random: Random) -> Stroke:
    """Half of an ellipse, flat or high; two in five stand upright, the others lie."""
    points = _around(np.linspace(-math.pi / 2, math.pi / 2, 5)) * (1, random.uniform(0.5, 1.3))
    quarter_turns = random.choice((0, 0, 1, 2, 3))
    angle = quarter_turns * math.pi / 2 + random.normal(0, 0.2)
    return _closed(points @ rotation(angle), (0, 4, 5))


def _around(angles: Floats) -> Floats:
    """Points on the circle, from its top on."""
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)


def _closed(points: Floats, corners: tuple[int, ...]) -> Stroke:
    return Stroke(0.5 + 0.5 * np.concatenate([points, points[:1]]), corners)


def _stroke(others: list[Stroke], random: Random) -> Stroke:
    """From one of the others to a place on the figure, which is the first of them, or to anywhere."""
    start = place_on(others[random.integers(len(others))], random)
    while True:
        end = place_on(others[0], random) if random.random() < INNER else random.uniform(*BEYOND, 2)
        if SHORTEST < np.hypot(*(end - start)) < LONGEST:
            break
        start = place_on(others[0], random)
    points = [start, end]
    if random.random() < CURVED:
        points.insert(1, (start + end) / 2 + random.normal(0, CURVE, 2))
    return Stroke(np.stack(points), (0, len(points) - 1))
