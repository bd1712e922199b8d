"""Signs of no alphabet: straight and round strokes that hang together as those of letters do.

What is no digit is then told from more than the letters there are (Lake, Salakhutdinov and Tenenbaum 2015,
Human-level concept learning, learn to write from characters of fifty alphabets). Of a thousand some thirty
look like a digit; fewer strokes than three would more often.
"""

import numpy as np
from PIL import Image

from training.digits.drawn.hand import Floats, Hand, Random, Stroke

STROKES, STROKES_SHARES = (3, 4, 5), (0.5, 0.35, 0.15)
POINTS, POINTS_SHARES = (2, 3, 4), (0.5, 0.3, 0.2)  # of a stroke
JOINED = 0.75  # share of strokes that begin on another one
ALONG = 0.5  # share of the straight ones that are level or upright
ROUND = 0.55  # share of the others
APART, STRAIGHT_APART = 0.35, 0.55  # two points of a stroke at the least, in shares of the sign's grid
NARROWEST = 0.5  # a sign: whatever is narrower is not stretched to its grid


def made_up(random: Random) -> Image.Image:
    """Light on black, by a hand of its own."""
    strokes = list[Stroke]()
    for _ in range(random.choice(STROKES, p=STROKES_SHARES)):
        strokes.append(_stroke(strokes, random))
    return Hand(random).write(fitted(strokes))


def fitted(strokes: list[Stroke]) -> tuple[Stroke, ...]:
    """Moved and stretched to fill a sign's grid."""
    points = np.concatenate([stroke.points for stroke in strokes])
    start = points.min(axis=0)
    span = np.maximum(np.ptp(points, axis=0), NARROWEST)
    return tuple(Stroke((stroke.points - start) / span, stroke.corners) for stroke in strokes)


def place_on(stroke: Stroke, random: Random) -> Floats:
    """A place on a stroke: where it turns or ends, in the middle between two such places, or anywhere."""
    at = random.integers(len(stroke.points) - 1)
    share = (0.0, 0.5, 1.0, random.random())[random.integers(4)]
    place: Floats = (1 - share) * stroke.points[at] + share * stroke.points[at + 1]
    return place


def _stroke(others: list[Stroke], random: Random) -> Stroke:
    count = int(random.choice(POINTS, p=POINTS_SHARES))
    start = random.uniform(0, 1, 2)
    if others and random.random() < JOINED:
        start = place_on(others[random.integers(len(others))], random)
    points = [start]
    apart = STRAIGHT_APART if count == 2 else APART
    while len(points) < count:
        point = random.uniform(0, 1, 2)
        if count == 2 and random.random() < ALONG:
            axis = random.integers(2)
            point[axis] = points[-1][axis]
        if np.hypot(*(point - points[-1])) > apart:
            points.append(point)
    is_round = count > 2 and random.random() < ROUND
    return Stroke(np.stack(points), (0, count - 1) if is_round else tuple(range(count)))
