"""Pixels as nested lists of numbers → rows as a model takes them: nothing is prepared.

Parsed as JSON, every number would be an object, and all of them one call that holds up everyone else. So
they are read piece by piece, without what there is beside them: brackets and commas, which are the same for
every list of one shape.
"""

import re
from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from service.errors import FieldError, InvalidInput
from service.problems import invalid_payload
from service.serving.steps import Steps

PIECE_BYTES, COUNTED_BYTES = 16 * 1024, 64 * 1024  # read at a time
MOST_NESTED = 8  # of lists, of which the shape is told
PLACED_BYTES = 256 * 1024  # of text, within which it is told where a wrong number is
SHOWN = 40  # of its characters

WHOLE = "a pixel is a whole number from 0 to 255 (multiply what lies between 0 and 1 by 255, and round it)"

_ENDS = re.compile(rb"[\],]")  # of a number, or of what stands for one
_OTHER = re.compile(rb"[^0-9\[\], \t\r\n]")
_NUMBER = b"0"  # in a skeleton

Shape = tuple[int, ...]
Levels = NDArray[np.uint8]


def layouts(row_shape: Shape) -> list[Shape]:
    """In which a picture is understood: the model's own, `[channels, height, width]`, before the others."""
    channels, height, width = row_shape
    grey = [(height, width)] if channels == 1 else []
    return [row_shape, *grey, (height, width, channels)]


def most_pictures(text: bytes, row_shape: Shape) -> Steps[int]:
    """The most pictures that it can be of: there is a comma between any two numbers."""
    commas = 0
    for at in range(0, len(text), COUNTED_BYTES):
        commas += text.count(b",", at, at + COUNTED_BYTES)
        yield
    return -(-(commas + 1) // prod(row_shape))


def read(field: str, text: bytes, row_shape: Shape, is_list: bool | None) -> Steps[tuple[Levels, bool]]:
    """`text`: JSON's, from the first bracket to the last. `is_list`: whether it has to be one of pictures;
    None: its shape says it.

    Returns rows `uint8 [N, channels, height, width]`, and whether it was a list. Raises InvalidInput.
    """
    skeletons: list[bytes] = []
    levels: list[Levels] = []
    at = 0
    while at < len(text):
        end = _end_of_piece(text, at)
        piece = text[at:end]
        if other := _OTHER.search(piece):
            raise _wrong_number(field, text, at + other.start())
        skeleton, of_piece, wrong = _taken_apart(piece)
        if wrong is not None:
            raise _wrong_number(field, text, at + wrong)
        skeletons.append(skeleton)
        levels.append(of_piece)
        at = end
        yield
    skeleton = b"".join(skeletons)
    yield
    pictures = np.concatenate(levels)
    yield
    for layout in layouts(row_shape):
        of_one = _skeleton(layout)
        for many in (False, True) if is_list is None else (is_list,):
            shape = (pictures.size // prod(row_shape), *layout) if many else layout
            likely = pictures.size == prod(shape) > 0 and skeleton.startswith(of_one, many)
            yield
            if likely and skeleton == _skeleton(shape):
                yield
                return rows_of(pictures.reshape(-1, *layout), row_shape), many
    raise invalid_payload([FieldError(field, _wrong_shape(skeleton, row_shape, is_list))])


def rows_of(pictures: Levels, row_shape: Shape) -> Levels:
    """Pictures in one of the layouts, as the model takes them."""
    if pictures.shape[1:] != row_shape and pictures.ndim == 4:  # channels come last
        pictures = np.moveaxis(pictures, -1, 1)
    return np.ascontiguousarray(pictures).reshape(-1, *row_shape)


def _end_of_piece(text: bytes, at: int) -> int:
    """Where a piece ends without cutting a number: behind a comma or a bracket, if there is one."""
    end = at + PIECE_BYTES
    if end >= len(text):
        return len(text)
    return 1 + max(text.rfind(b",", at, end), text.rfind(b"]", at, end)) or end


def _taken_apart(piece: bytes) -> tuple[bytes, Levels, int | None]:
    """Its skeleton: brackets, commas, and a mark for each number; the numbers; where one is no pixel."""
    codes = np.frombuffer(b",%b," % piece, np.uint8)
    is_digit = (codes >= ord("0")) & (codes <= ord("9"))
    (edges,) = (is_digit[1:] != is_digit[:-1]).nonzero()
    starts, ends = edges[::2] + 1, edges[1::2]  # a number's first digit and its last
    lengths = ends - starts + 1
    digits = codes.astype(np.int16) - ord("0")
    values = digits[ends]
    for place, unit in ((1, 10), (2, 100)):
        (longer,) = (lengths > place).nonzero()
        values[longer] += unit * digits[ends[longer] - place]
    wrong = (lengths > 3) | (values > 255) | ((lengths > 1) & (digits[starts] == 0))
    in_skeleton = ~is_digit & (codes > ord(" "))
    in_skeleton[starts] = True
    marked = codes.copy()
    marked[starts] = _NUMBER[0]
    skeleton = marked[1:-1][in_skeleton[1:-1]].tobytes()
    return skeleton, values.astype(np.uint8), int(starts[wrong.argmax()]) - 1 if wrong.any() else None


def _skeleton(shape: Sequence[int]) -> bytes:
    skeleton = _NUMBER
    for length in reversed(shape):
        skeleton = b"[%b]" % (length * (skeleton + b","))[:-1]
    return skeleton


def _wrong_number(field: str, text: bytes, at: int) -> InvalidInput:
    """What stands there is no pixel."""
    start = 1 + max(text.rfind(mark, 0, at) for mark in (b"[", b",", b"]"))
    found = _ENDS.search(text, at)
    shown = text[start : found.start() if found else len(text)].strip()[:SHOWN].decode("utf-8", "replace")
    place = ".".join(map(str, [field, *_place(text[:start])]))
    return invalid_payload([FieldError(place, f"is {shown}; {WHOLE}")])


def _place(before: bytes) -> list[int]:
    """The place of what comes next: its number in each of the lists that it is in."""
    if len(before) > PLACED_BYTES:
        return []
    codes = np.frombuffer(before, np.uint8)
    opens = codes == ord("[")
    depths = np.cumsum(opens.astype(np.int32) - (codes == ord("]")))
    place = []
    for depth in range(1, min(MOST_NESTED, int(depths[-1])) + 1):
        last = np.flatnonzero(opens & (depths == depth))[-1]
        place.append(int(np.count_nonzero((codes[last:] == ord(",")) & (depths[last:] == depth))))
    return place


def _wrong_shape(skeleton: bytes, row_shape: Shape, is_list: bool | None) -> str:
    expected = " or ".join(map(_named, layouts(row_shape)))
    if is_list is None:
        expected += ", or a list of such"
    elif is_list:
        expected = f"a list of {expected}"
    shape = _shape(skeleton)
    is_shape = f"has the shape {_named(shape)}" if shape else "is no regular list of lists of numbers"
    return f"{is_shape}; the model takes {expected}"


def _shape(skeleton: bytes) -> Shape | None:
    """None where lists of one depth differ in length, or are very deep."""
    depth = len(skeleton) - len(skeleton.lstrip(b"["))
    shape: Shape = ()
    if depth > MOST_NESTED:
        return None
    for level in reversed(range(depth)):
        inner = _skeleton(shape)
        closed = skeleton.find(b"]" * (len(shape) + 1), level + 1) + len(shape)
        shape = ((closed - level) // (len(inner) + 1), *shape)
    return shape if skeleton == _skeleton(shape) else None


def _named(shape: Shape) -> str:
    return "×".join(map(str, shape))
