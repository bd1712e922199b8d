"""Which parts may together be a digit, and what a model reads of each such candidate."""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.errors import BlankImage
from service.pictures.digits.components import Box
from service.pictures.digits.morphology import dilated, pixels_of
from service.pictures.digits.preparation import Prepared, Shares, as_it_is, in_form, shares_of
from service.pictures.numbers.cuts import pieces_of
from service.pictures.numbers.parts import Line, Part, joined, lines_of
from service.pictures.numbers.sheet import Sheet, plate_of, sheet_of

MOST_CANDIDATES = 512  # of a picture; beyond it nothing is cut, and a part is one
TOGETHER = 8  # pieces, at the most, are one digit
WIDEST = 1.4  # of the line's height
FRINGE = 2  # pixels of ink around a part go with it


class Candidate(NamedTuple):
    """A digit, perhaps: of a line, from piece `first` to piece `last`. `box`: in shares of the picture.

    `height`, `width`: over the usual height of the line. `is_cut`: its first piece was cut off the one
    before.
    """

    line: int
    first: int
    last: int
    height: float
    width: float
    is_cut: bool
    box: Shares


class Numbers(NamedTuple):
    """All candidates of a picture, line by line; `pixels`: 28×28 bytes of each, as the model reads it."""

    pixels: bytes
    candidates: list[Candidate]


def alone(digit: Prepared) -> Candidate:
    """The one that there is."""
    return Candidate(line=0, first=0, last=0, height=1.0, width=1.0, is_cut=False, box=digit.box)


def numbers_in(picture: Image.Image) -> Numbers:
    """`picture`: L or RGB, any size, either polarity; of 28×28 in MNIST's form it is one digit, as it is.

    Raises BlankImage.
    """
    picture.load()
    if digit := as_it_is(picture):
        return Numbers(digit.pixels, [alone(digit)])
    if plate := plate_of(picture):
        with suppress(BlankImage):
            return _moved(_read(picture.crop(plate)), plate, picture)
    return _read(picture)


def _moved(numbers: Numbers, plate: Box, picture: Image.Image) -> Numbers:
    """Where they are in the picture, if they were found on a plate in it."""
    x, y, end_x, end_y = plate
    width, height = end_x - x, end_y - y

    def moved(box: Shares) -> Shares:
        left, top, right, bottom = box
        place = x + width * left, y + height * top, x + width * right, y + height * bottom
        return shares_of(place, picture)

    return Numbers(numbers.pixels, [one._replace(box=moved(one.box)) for one in numbers.candidates])


def _read(picture: Image.Image) -> Numbers:
    """Raises BlankImage."""
    sheet = sheet_of(picture)
    lines = lines_of(sheet.mask())
    taken = sheet.mask()
    rows: list[bytes] = []
    candidates: list[Candidate] = []
    for number, line in enumerate(lines):
        of_line = _of_line(line, whole=False)
        if len(candidates) + len(of_line) > MOST_CANDIDATES:
            of_line = _of_line(line, whole=True)
        for (first, last), part, is_cut in of_line:
            rows.append(_row(sheet, part, taken))
            height, width = part.height / line.height, part.width / line.height
            box = shares_of(part.box, sheet.ink)
            candidates.append(Candidate(number, first, last, height, width, is_cut, box))
    if not candidates:
        raise BlankImage
    return Numbers(b"".join(rows), candidates)


def _of_line(line: Line, whole: bool) -> list[tuple[tuple[int, int], Part, bool]]:
    """Spans of pieces, what they are together, and whether they begin at a cut. `whole`: nothing is cut."""
    in_pieces = [[part] if whole else pieces_of(part, line.height) for part in line.parts]
    pieces = [piece for of_part in in_pieces for piece in of_part]
    cut = [at > 0 for of_part in in_pieces for at in range(len(of_part))]
    spans = [(at, at) for at in range(len(pieces))] if whole else _spans(pieces, line.height)
    return [((first, last), joined(pieces[first : last + 1]), cut[first]) for first, last in spans]


def _spans(pieces: list[Part], height: float) -> Iterator[tuple[int, int]]:
    """First and last of pieces that lie together and are no wider than a digit."""
    for first in range(len(pieces)):
        yield first, first
        right = pieces[first].box[2]
        left = pieces[first].box[0]
        for last in range(first + 1, min(len(pieces), first + TOGETHER)):
            gap = pieces[last].box[0] - right
            right, left = max(right, pieces[last].box[2]), min(left, pieces[last].box[0])
            if right - left > WIDEST * height or gap > 0.15 * height:
                break
            yield first, last


def _row(sheet: Sheet, part: Part, taken: NDArray[np.bool_]) -> bytes:
    left, top, right, bottom = part.box
    x, y = max(0, left - FRINGE), max(0, top - FRINGE)
    end = min(sheet.ink.width, right + FRINGE), min(sheet.ink.height, bottom + FRINGE)
    own = np.zeros((end[1] - y, end[0] - x), dtype=np.bool_)
    own[top - y : bottom - y, left - x : right - x] = part.mask
    others = taken[y : end[1], x : end[0]] & ~own
    kept = dilated(own, FRINGE) & ~others
    levels = np.where(kept, pixels_of(sheet.ink.crop((x, y, *end))), 0).astype(np.uint8)
    box = left - x, top - y, right - x, bottom - y
    return in_form(Image.fromarray(levels), box, sheet.peak, max(sheet.scale))
