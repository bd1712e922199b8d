"""Digits as strokes, in the ways that MNIST's writers seldom or never used.

Every way is a pair of skeletons, in the notation of `hand`, between which a writer stands somewhere.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from training.digits.drawn.hand import Hand, Random, Stroke, skeleton


class Way(NamedTuple):
    """How a digit may be written: from one skeleton to the other, and how often beside the others."""

    label: int
    name: str
    from_: str
    to: str
    share: float = 1


CIRCLES = "~40 21 22 44 62 61 40|~44 15 17 49 77 75 44"
RING = "~50 20 04 06 39 59 86 83 50"

WAYS = (
    Way(0, "slashed", f"{RING}|70 19", f"{RING}|91 09", 3),
    Way(0, "slashed the other way", f"{RING}|11 88", f"{RING}|22 67", 0.5),
    Way(0, "dotted", f"{RING}|44 45", f"{RING}|44 54"),
    Way(0, "square", "10 70 79 19 10", "00 80 89 09 00", 0.5),
    Way(0, "open", "~60 20 04 06 39 59 86 83 62", "~40 20 04 06 39 59 86 83 70", 0.5),
    Way(1, "long upstroke", "14 60 69", "17 60 69", 5),
    Way(1, "long upstroke that bends", "~16 33 60! 69!", "~17 34 60! 69!", 2),
    Way(1, "long upstroke and foot", "14 50 59|29 89", "07 50 59|19 99", 2),
    Way(1, "flag and foot", "22 40 49|19 79", "13 40 49|29 69", 2),
    Way(1, "short flag", "31 40 49", "23 40 49"),
    Way(2, "loop at the foot", "~12 30 60 72 46 19 07 16 38 69 98", "~11 40 71 64 37 18 17 27 48 79 88"),
    Way(2, "square", "00 80 84 04 09 89", "10 70 75 15 19 79", 0.7),
    Way(2, "zigzag", "01 40 72 09 89", "00 70 83 09 89", 0.7),
    Way(3, "flat roof", "~00! 80! 34! 64 87 59 19 08", "~10! 70! 43! 73 86 69 29 08", 1.5),
    Way(3, "square", "00 80 89 09|14 84", "10 70 79 19|24 74", 0.7),
    Way(3, "pointed", "00 70 34 87 09", "10 81 44 76 19", 0.5),
    Way(4, "two strokes", "20 05 85|60 69", "10 06 96|63 69", 3),
    Way(4, "two strokes, upright", "00 05 85|70 79", "10 14 84|61 69", 2),
    Way(4, "round and open", "~00! 04 26 56 71!|80 79", "~10! 14 36 65 82!|80 69", 1.5),
    Way(4, "two strokes, low stem", "10 06 96|54 59", "20 05 84|53 49", 1.5),
    Way(4, "in one stroke, open", "10 05 75|70 79", "30 06 86|71 69", 1),
    Way(4, "square", "00 04 84|80 89", "10 15 75|70 79", 0.7),
    Way(4, "closed", "60 05 95|60 69", "50 07 97|50 59"),
    Way(5, "square", "80 10 14 84 89 09", "70 00 05 75 79 09", 2),
    Way(5, "separate roof", "~10! 14! 43 74 77 49 09|10 80", "~20! 04! 34 65 77 48 08|20 91", 2),
    Way(5, "curled like an S", "~81 30 13 45 76 58 18", "~90 40 12 44 86 59 09", 0.7),
    Way(6, "square", "80 10 19 89 84 14", "60 00 09 79 75 05", 2),
    Way(6, "square without an arm", "10 19 79 74 14", "00 09 89 85 05", 0.5),
    Way(6, "curled", "~81 50 22 06 28 59 87 75 54 36 47", "~70 40 22 05 17 39 68 86 64 45 27", 2),
    Way(6, "curled far in", "~72 40 13 06 29 69 86 64 45 37", "~61 40 12 07 39 79 85 54 36 48", 1),
    Way(6, "spiral", "~70 40 13 06 29 69 86 65 45 37 58", "~80 50 23 05 27 59 78 75 55 37 57", 1),
    Way(6, "upright", "~20 14 07 39 69 87 65 45 17", "~40 22 06 28 58 76 55 25 07", 1),
    Way(7, "with a bar", "00 80 39|15 75", "01 90 49|25 95", 3),
    Way(7, "with a serif and a bar", "02 00 80 39|15 75", "13 10 90 39|24 75", 1.5),
    Way(7, "curled", "~02! 10 31 61 80! 54 39!", "~13! 01 31 61 90! 64 39!", 2),
    Way(7, "curled, with a bar", "~02! 10 31 61 80! 54 39!|25 75", "~13! 01 31 61 90! 64 49!|25 94", 1.5),
    Way(7, "bent stem", "~00! 80! 54 49", "~00! 70! 64 69", 1),
    Way(8, "open", "~71 40 12 34 66 78 49 18 16 44 75 82", "~80 40 12 34 76 78 49 08 26 54 73 83", 2),
    Way(8, "two circles", CIRCLES, "~50 30 12 34 64 71 50|~54 35 07 39 79 85 54", 2),
    Way(8, "square", "00 80 89 09 00|04 84", "10 70 79 19 10|15 75", 1),
    Way(8, "crossed lines", "00 89 09 80 00", "10 79 19 70 10", 0.5),
    Way(9, "curved tail", "~71 40 12 25 55 71! 76 49 08", "~82 50 21 24 54 82! 87 59 28", 4),
    Way(9, "long curved tail", "~71 40 12 25 55 71! 77 59 29 07", "~72 40 11 34 64 72! 76 48 19 06", 2),
    Way(9, "square", "75 05 00 70 79 09", "84 14 10 80 89 19", 1.5),
    Way(9, "square without a foot", "84 04 00 80 89", "75 15 10 70 79", 1),
    Way(9, "straight stem", "~72 40 12 25 56 72!|70 79", "~71 40 02 15 45 71!|71 69", 1),
)


def written(way: Way, random: Random) -> Image.Image:
    """In a random hand, with a random pen."""
    share = random.uniform(0, 1)
    pairs = zip(skeleton(way.from_), skeleton(way.to), strict=True)
    strokes = tuple(
        Stroke((1 - share) * one.points + share * other.points, one.corners) for one, other in pairs
    )
    return Hand(random, degrees=8, unsteady=0.03, pen=(3.5, 16)).write(strokes)


def any_way(random: Random) -> tuple[Image.Image, int]:
    """One of the ways: the picture, and the digit."""
    way = WAYS[random.choice(len(WAYS), p=_SHARES)]
    return written(way, random), way.label


_SHARES = np.array([way.share for way in WAYS]) / sum(way.share for way in WAYS)
