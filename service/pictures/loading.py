"""A file whose header is read → its pixels, or fewer where they can be had without all of them."""

from io import BytesIO
from typing import Any

from PIL import Image
from PIL.ImageFile import ImageFile

from service.pictures.formats.deep_colour import low_bytes_of, with_all_bits
from service.pictures.formats.truncated import load
from service.pictures.formats.webp import has_alpha, read_scaled
from service.pictures.reduction import ROOM, smaller


def loaded(image: ImageFile, factor: int, enough: tuple[int, int]) -> Image.Image:
    """The picture, or one that is smaller.

    A JPEG is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size that is `enough`; of a large
    still WebP, libwebp makes one that is smaller by `factor`: Pillow would hold it three times.
    """

    def drafted(file: ImageFile) -> ImageFile:
        file.draft(None, enough)
        return file

    data = image.fp.getvalue() if isinstance(image.fp, BytesIO) else b""
    is_large = image.width * image.height > ROOM
    if image.format == "WEBP" and is_large and has_alpha(data) is not None:
        return read_scaled(data, smaller(image.size, factor))
    if hasattr(image, "_decoder"):
        image._decoder = _FrameDecoder(image._decoder)
    low_bytes = low_bytes_of(image)
    pixels = load(drafted(image), lambda end: drafted(_reopened(image, data + end)))
    return with_all_bits(pixels, low_bytes, lambda: _reopened(image, data)) if low_bytes else pixels


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


def _reopened(image: ImageFile, data: bytes) -> ImageFile:
    again = Image.open(BytesIO(data), formats=[image.format or ""])
    again.info.update(image.info)
    return again
