"""Upload bytes → what a model reads of a picture: the digit on it, or a row of the model's own size.

`formats.recognition` knows which files are read, `formats.containers` what of them is looked at. The size
is read from the header and limited before a pixel is decoded.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from service.errors import (
    InvalidImage,
    TooManyPixels,
)
from service.pictures.budget import MeteredFile, check_budget
from service.pictures.digits.ground import WORK_SIDE
from service.pictures.digits.mnist_form import SIDE
from service.pictures.digits.preparation import Prepared, Shares, prepare
from service.pictures.fitting import (
    Fit,
    in_channels,
    is_resized_first,
    resized,
    row_of,
)
from service.pictures.formats.containers import stripped
from service.pictures.formats.recognition import recognise
from service.pictures.formats.stripping import not_read, orientation_of
from service.pictures.loading import loaded
from service.pictures.modes import opaque
from service.pictures.numbers.candidates import Candidate, alone, numbers_in
from service.pictures.numbers.sheet import enough_for
from service.pictures.orientation import upright, upright_size
from service.pictures.reduction import factor_for, reduced
from service.pictures.transparency import on_white

MAX_SIDE = 65_535  # as in JPEG; decoders hold whole rows, several times over
DIGIT = Fit(SIDE, SIDE, 1, "mnist")
ENOUGH_FOR_DIGIT = (2 * WORK_SIDE, 2 * WORK_SIDE)

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

    content: ImageFile
    size: tuple[int, int]
    orientation: int


def open_picture(data: bytes, max_pixels: int) -> Picture:
    """Read the header: cheap, whatever the size.

    Raises UnsupportedMediaType (not a format we read), InvalidImage or TooManyPixels.
    """
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
    return Picture(picture, picture.size, orientation)


class Finding(NamedTuple):
    """What a model reads of a picture.

    `pixels`: its row, `uint8 [channels, height, width]`, or those of all `candidates`. `size`: of the
    picture, width and height, when upright. `prepared`: of a digit, how it was found. `candidates`: what
    may be digits, where each was looked for.
    """

    pixels: bytes
    size: tuple[int, int]
    prepared: Prepared | None = None
    candidates: Sequence[Candidate] = ()

    @property
    def digit(self) -> Prepared:
        """Of a digit alone."""
        assert self.prepared
        return self.prepared

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Where the ink of a digit was: left, top, right, bottom in pixels of the upright picture."""
        return self.in_pixels(self.digit.box)

    @property
    def boxes(self) -> list[tuple[int, int, int, int]]:
        """Likewise, of each digit where several stand side by side."""
        return [self.in_pixels(box) for box in self.digit.beside] or [self.box]

    def in_pixels(self, box: Shares) -> tuple[int, int, int, int]:
        left, top, right, bottom = box
        width, height = self.size
        return round(left * width), round(top * height), round(right * width), round(bottom * height)


def find(picture: Picture, fit: Fit) -> Finding:
    """Decode one picture and make it a row. Raises InvalidImage."""
    if fit.resize == "each":
        return _found_digits(picture)
    return _found_digit(picture) if fit.resize == "mnist" else _fitted(picture, fit)


def find_digit(picture: Picture) -> Finding:
    """Likewise, of a digit."""
    return find(picture, DIGIT)


def given_digit(pixels: bytes) -> Finding:
    """What came as the 28×28 bytes that the model reads."""
    box = Image.frombytes("L", (SIDE, SIDE), pixels).getbbox() or (0, 0, SIDE, SIDE)
    left, top, right, bottom = (edge / SIDE for edge in box)
    prepared = Prepared(pixels, True, (left, top, right, bottom))
    return Finding(pixels, (SIDE, SIDE), prepared, [alone(prepared)])


def rows_of(prepared: Sequence[bytes], shape: tuple[int, ...] = (1, SIDE, SIDE)) -> NDArray[np.uint8]:
    """The pixels of prepared pictures as `images_u8 [N, channels, height, width]`."""
    return np.frombuffer(bytearray().join(prepared), np.uint8).reshape(-1, *shape)


def _found_digit(picture: Picture) -> Finding:
    prepared = prepare(_upright(picture, ENOUGH_FOR_DIGIT))
    return Finding(prepared.pixels, upright_size(picture.size, picture.orientation), prepared)


def _found_digits(picture: Picture) -> Finding:
    numbers = numbers_in(_upright(picture, enough_for(picture.size)))
    size = upright_size(picture.size, picture.orientation)
    return Finding(numbers.pixels, size, candidates=numbers.candidates)


def _upright(picture: Picture, enough: tuple[int, int]) -> Image.Image:
    """Decoded, L or RGB; a large one perhaps smaller, but not than is `enough`."""
    image, size, orientation = picture.content, picture.size, picture.orientation
    with _decoder_errors_translated(image.format or ""):
        pixels = loaded(image, factor_for(size), enough)
        plain = opaque(reduced(pixels, factor_for(pixels.size)))
        if plain is not image:
            image.close()  # whoever holds it, its pixels are no longer held
        return upright(plain, orientation)


def _fitted(picture: Picture, fit: Fit) -> Finding:
    image, size, orientation = picture.content, picture.size, picture.orientation
    turned = upright_size(size, orientation)
    factor = fit.factor(turned, image.format == "JPEG")
    cut = partial(resized, size=size, factor=factor, orientation=orientation, fit=fit)
    with _decoder_errors_translated(image.format or ""):
        pixels = loaded(image, factor, (size[0] // factor, size[1] // factor))
        if is_resized_first(pixels):
            return Finding(row_of(opaque(cut(pixels)), fit), turned)
        whole = reduced(pixels, factor if pixels.size == size else 1)
        plain = opaque(whole, lambda whole: on_white(whole, factor if whole.size == size else 1))
    return Finding(row_of(cut(in_channels(plain, fit)), fit), turned)


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
