"""Any of Pillow's modes → L or RGB: what is transparent, deep or without a range becomes plain."""

from collections.abc import Callable

from PIL import Image

from service.pictures.formats.depths import shallow
from service.pictures.transparency import on_its_ground

COLOUR_KEY = "transparency"  # Pillow's name in `info`: the one level or colour that is not shown
WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


def opaque(
    picture: Image.Image, on_ground: Callable[[Image.Image], Image.Image] = on_its_ground
) -> Image.Image:
    """Any mode → L or RGB. `on_ground`: what has transparent parts → RGB; by default as digits are shown.

    Raises InvalidImage where pixels are not numbers.
    """
    if picture.mode.startswith(("I", "F")):
        picture = shallow(picture, picture.info.get(COLOUR_KEY))
    if _has_transparency(picture):
        return on_ground(picture)
    if picture.mode in ("L", "RGB"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _has_transparency(picture: Image.Image) -> bool:
    if picture.mode in WITH_ALPHA or COLOUR_KEY in picture.info:
        return True
    return picture.palette is not None and picture.palette.mode == "RGBA"
