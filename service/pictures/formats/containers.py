"""Which format's file is stripped by which module."""

from collections.abc import Callable

from service.pictures.formats import bmp as bmp_files
from service.pictures.formats import gif as gif_files
from service.pictures.formats import jpeg as jpeg_files
from service.pictures.formats import png as png_files
from service.pictures.formats import tiff as tiff_files
from service.pictures.formats import webp as webp_files
from service.pictures.formats.stripping import Stripped

_STRIPPED: dict[str, Callable[[bytes], Stripped]] = {
    "PNG": png_files.stripped,
    "JPEG": jpeg_files.stripped,
    "TIFF": tiff_files.stripped,
    "BMP": bmp_files.stripped,
    "GIF": gif_files.stripped,
    "WEBP": webp_files.stripped,
}
_AVIF_MAJORS = (b"avif", b"avis", b"mif1", b"msf1")  # that Pillow's plugin takes


def stripped(data: bytes, image_format: str) -> Stripped:
    """Raises InvalidImage, or UnsupportedMediaType where it is of a kind that is not read."""
    if image_format == "AVIF" and data[8:12] not in _AVIF_MAJORS:
        return Stripped(data[:8] + b"avif" + data[12:])
    strip = _STRIPPED.get(image_format, Stripped)
    return strip(data)
