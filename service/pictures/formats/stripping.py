"""A file as it came → what its decoder needs of it, and which way up it is.

Text, colour profiles, thumbnails and makers' notes are left out before a decoder looks at the file: what is
wrong with them does not keep a picture from being seen, and however much there is of them costs nothing.
"""

from typing import Any, Literal, NamedTuple

from service.errors import InvalidImage, PictureTooCostly, UnsupportedMediaType

MAX_PIECES = (
    1 << 15
)  # chunks or segments of one file; 16 MiB of pixels in the smallest usual ones are 2,048

Order = Literal["little", "big"]

UPRIGHT = 1
ORIENTATION = 0x0112  # TIFF 6.0, page 36; Exif 3.0, 4.6.4
TURNS = range(1, 9)
_ORDERS: dict[bytes, Order] = {b"II": "little", b"MM": "big"}
WHOLE = {1: 1, 3: 2, 4: 4}  # types of whole numbers, and their bytes: BYTE, SHORT, LONG


class Stripped(NamedTuple):
    """`orientation`: 1 to 8, as in Exif; None where the decoder says it.

    `info`: what Pillow does not say of the pixels, for its own `info`. `kind`: of which kind they are, in
    words, of a file that is sound as far as was looked: what is told where Pillow does not know it.
    """

    data: bytes
    orientation: int | None = None
    info: dict[str, Any] = {}  # noqa: RUF012 - never written to
    kind: str = ""


def orientation_of(exif: bytes) -> int:
    """What an Exif block says, with or without its name before it; upright where it says nothing.

    A number of another type than whole ones, such as text, is none, as in browsers. What is wrong beside it
    does not count.
    """
    block = exif[6:] if exif.startswith(b"Exif\0") else exif
    order = _ORDERS.get(block[:2])
    if order is None:
        return UPRIGHT
    first = int.from_bytes(block[4:8], order) + 2
    entries = int.from_bytes(block[first - 2 : first], order)
    for at in range(first, min(len(block), first + 12 * entries), 12):
        tag, kind = (int.from_bytes(block[i : i + 2], order) for i in (at, at + 2))
        if tag == ORIENTATION and kind in WHOLE:
            turn = int.from_bytes(block[at + 8 : at + 8 + WHOLE[kind]], order)
            return turn if turn in TURNS and block[at + 4 : at + 8] == (1).to_bytes(4, order) else UPRIGHT
    return UPRIGHT


def not_read(image_format: str, kind: str) -> UnsupportedMediaType:
    """A sound file of a format that is read, of a kind that is not."""
    return UnsupportedMediaType(
        f"The {image_format} file is of a kind that is not read: {kind}. Save it as an 8-bit PNG or JPEG."
    )


def cut_short(image_format: str) -> InvalidImage:
    return InvalidImage(f"The {image_format} file is damaged or cut short.")


def too_many_pieces(image_format: str) -> InvalidImage:
    return PictureTooCostly(f"The {image_format} file has more than {MAX_PIECES:,} pieces.")
