"""Upload bytes → the 28×28 picture that the digit model reads.

`formats` knows which files are read, `containers` what of them is looked at. The size is read from the
header and limited before a pixel is decoded.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from service.errors import (
    FieldError,
    InvalidImage,
    ServiceError,
    TooManyPixels,
    UnsupportedMediaType,
)
from service.pictures.budget import MeteredFile, check_budget
from service.pictures.formats.containers import stripped
from service.pictures.formats.deep_colour import low_bytes_of, with_all_bits
from service.pictures.formats.recognition import recognise
from service.pictures.formats.stripping import not_read, orientation_of
from service.pictures.formats.truncated import load
from service.pictures.formats.webp import has_alpha, read_scaled
from service.pictures.ground import WORK_SIDE
from service.pictures.modes import opaque
from service.pictures.preparation import SIDE, Prepared, prepare
from service.pictures.reduction import factor_for, reduced, smaller

MAX_SIDE = 65_535  # as in JPEG; decoders hold whole rows, several times over

# What undoes an orientation of Exif, and those of them that exchange width and height.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)

# What Pillow's decoders raise for bytes that are no picture; found by reading and by fuzzing them.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    RuntimeError,  # of AVIF
    struct.error,
    zlib.error,
)


class Upload(NamedTuple):
    """A picture as it arrived, and what to call it in an error: `body`, `file` or `file.3`."""

    field: str
    data: bytes


class Picture(NamedTuple):
    """A picture whose header is read, not yet decoded.

    `size`: its width and height as it is stored. `orientation`: 1 to 8, as in Exif.
    """

    field: str
    content: ImageFile
    size: tuple[int, int]
    orientation: int


def open_pictures(uploads: Sequence[Upload], max_pixels: int) -> list[Picture]:
    """Read the headers: cheap, whatever the size.

    Raises UnsupportedMediaType (not a format we read), InvalidImage or TooManyPixels, naming the field.
    """
    pictures = []
    for field, data in uploads:
        try:
            pictures.append(_open(field, data, max_pixels))
        except (InvalidImage, UnsupportedMediaType) as error:
            raise _blamed_on(field, error) from error.__cause__
    return pictures


class Finding(NamedTuple):
    """What was found on a picture of so many pixels, width and height, when upright."""

    prepared: Prepared
    size: tuple[int, int]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Where the ink was: left, top, right, bottom in those pixels."""
        left, top, right, bottom = self.prepared.box
        width, height = self.size
        return round(left * width), round(top * height), round(right * width), round(bottom * height)


def find_digit(picture: Picture) -> Finding:
    """Decode one picture and prepare it. Raises InvalidImage or BlankImage, naming the field."""
    try:
        upright, size = _decoded(picture)
        return Finding(prepare(upright), size)
    except InvalidImage as error:
        raise _blamed_on(picture.field, error) from error.__cause__


def read_digits(pictures: Sequence[Picture]) -> NDArray[np.uint8]:
    """`images_u8 [N, 1, 28, 28]`, light ink on a dark ground. Raises what `find_digit` raises."""
    return rows_of([find_digit(picture).prepared.pixels for picture in pictures])


def rows_of(prepared: Sequence[bytes]) -> NDArray[np.uint8]:
    """The pixels of prepared pictures as `images_u8 [N, 1, 28, 28]`."""
    return np.frombuffer(bytearray().join(prepared), np.uint8).reshape(-1, 1, SIDE, SIDE)


def _blamed_on(field: str, error: ServiceError) -> ServiceError:
    error.errors = (FieldError(field, error.detail),)
    return error


def _decoded(picture: Picture) -> tuple[Image.Image, tuple[int, int]]:
    """L or RGB, upright, perhaps smaller than it came; and its size, upright, as it came."""
    image, (width, height) = picture.content, picture.size
    with _decoder_errors_translated(image.format or ""):
        plain = opaque(reduced(_loaded(image)))
        if plain is not image:
            image.close()  # whoever holds it, its pixels are no longer held
        turn = _TURNS.get(picture.orientation)
        upright = plain if turn is None else plain.transpose(turn)
        return upright, (height, width) if picture.orientation in _SIDEWAYS else (width, height)


def _loaded(image: ImageFile) -> Image.Image:
    """Its pixels, or fewer where they can be had without all of them."""
    file = image.fp.getvalue() if isinstance(image.fp, BytesIO) else b""
    factor = factor_for(image.size)
    if image.format == "WEBP" and factor > 1 and has_alpha(file) is not None:
        return read_scaled(file, smaller(image.size, factor))
    if hasattr(image, "_decoder"):
        image._decoder = _FrameDecoder(image._decoder)
    low_bytes = low_bytes_of(image)
    loaded = load(_drafted(image), lambda end: _drafted(_reopened(image, file + end)))
    return with_all_bits(loaded, low_bytes, lambda: _reopened(image, file)) if low_bytes else loaded


class _FrameDecoder:
    """Pillow's decoder of WebP or AVIF, which ends with its first frame, as it holds that once more."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def get_next(self) -> Any:
        return self._decoder_once().get_next()

    def get_frame(self, number: int) -> Any:
        return self._decoder_once().get_frame(number)

    def _decoder_once(self) -> Any:
        decoder, self._decoder = self._decoder, None
        return decoder


def _drafted(image: ImageFile) -> ImageFile:
    """A JPEG is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size that will do."""
    image.draft(None, (2 * WORK_SIDE, 2 * WORK_SIDE))
    return image


def _reopened(image: ImageFile, data: bytes) -> ImageFile:
    again = Image.open(BytesIO(data), formats=[image.format or ""])
    again.info.update(image.info)
    return again


def _open(field: str, data: bytes, max_pixels: int) -> Picture:
    """Read the header and count the pixels."""
    image_format = recognise(data)
    with _decoder_errors_translated(image_format):
        data, orientation, info, kind = stripped(data, image_format)
    file = MeteredFile(data)
    with _decoder_errors_translated(image_format, kind):
        picture = Image.open(file, formats=[image_format])
        orientation = orientation_of(picture.info.get("exif", b"")) if orientation is None else orientation
    picture.info.update(info)
    width, height = picture.size
    if max(width, height) > MAX_SIDE:
        raise TooManyPixels(f"The picture has {width}×{height} pixels; a side has at most {MAX_SIDE:,}.")
    if width * height > max_pixels:
        raise TooManyPixels(
            f"The picture has {width}×{height} pixels; at most {max_pixels:,} are accepted."
        )
    with _decoder_errors_translated(image_format):
        check_budget(picture, file)
    if image_format == "BMP":
        file.unmeter()  # it may come in runs of two bytes
    return Picture(field, picture, picture.size, orientation)


@contextmanager
def _decoder_errors_translated(image_format: str, kind: str = "") -> Iterator[None]:
    """`kind`: what the file is, where all of it that was looked at is sound."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels("The picture has too many pixels.") from error
    except UnidentifiedImageError as error:
        if kind:
            raise not_read(image_format, kind) from error
        raise InvalidImage(f"The {image_format} file is damaged: its header is broken.") from error
    except _DECODER_ERRORS as error:
        raise InvalidImage(f"The {image_format} file is damaged or cut short.") from error
