"""Any of Pillow's modes → L or RGB: what is transparent, deep or without a range becomes plain."""

import numpy as np
from PIL import Image, ImageStat

from service.errors import InvalidImage

LIGHT_INK = 200  # mean level from which what is drawn on a transparent ground shows on black alone


def opaque(picture: Image.Image) -> Image.Image:
    """Any mode → L or RGB. What is transparent becomes white, or black under ink that is light itself."""
    if picture.mode == "L":
        return picture
    if picture.mode.startswith(("I", "F")):
        return _from_deep_grey(picture)
    if picture.has_transparency_data:
        ink = picture.convert("RGBA")
        cover = ink.getchannel("A")
        level = ImageStat.Stat(ink.convert("L"), cover).mean[0] if cover.getbbox() else 0
        paper = Image.new("RGBA", ink.size, "black" if level > LIGHT_INK else "white")
        return Image.alpha_composite(paper, ink).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "LA") else "RGB")


def _from_deep_grey(picture: Image.Image) -> Image.Image:
    """16-bit grey keeps its high byte; 32-bit grey has no agreed range and is stretched to its own."""
    levels = np.array(picture, dtype=np.float64)
    if picture.mode.startswith("I;16"):
        return Image.fromarray((levels / 257).round().astype(np.uint8))
    if not np.isfinite(levels).all():
        raise InvalidImage("The picture holds pixels that are not numbers.")
    low, high = levels.min(), levels.max()
    span = (high - low) or 1.0
    return Image.fromarray(((levels - low) / span * 255).round().astype(np.uint8))
