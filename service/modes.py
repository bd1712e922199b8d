"""Any of Pillow's modes → L or RGB: what is transparent, deep or without a range becomes plain."""

from PIL import Image, ImageStat

from service.depths import shallow

LIGHT_INK = 200  # mean level from which what is drawn on a transparent ground shows on black alone

_COLOUR_KEY = "transparency"  # Pillow's name in `info`: the one level or colour that is not shown
_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


def opaque(picture: Image.Image) -> Image.Image:
    """Any mode → L or RGB. What is transparent becomes white, or black under ink that is light itself.

    Alpha that is 0 everywhere says nothing: some programs leave it so, and viewers show what is there.
    Raises InvalidImage where pixels are not numbers.
    """
    if picture.mode.startswith(("I", "F")):
        picture = shallow(picture, picture.info.get(_COLOUR_KEY))
    if not _has_transparency(picture):
        return _plain(picture)
    ink = _with_straight_alpha(picture)
    cover = ink.getchannel("A")
    if not cover.getbbox():
        return _plain(ink)
    level = ImageStat.Stat(ink.convert("L"), cover).mean[0]
    paper = Image.new("RGBA", ink.size, "black" if level > LIGHT_INK else "white")
    return Image.alpha_composite(paper, ink).convert("RGB")


def _plain(picture: Image.Image) -> Image.Image:
    """Without alpha, whatever it says."""
    if picture.mode == "L":
        return picture
    return picture.convert("L" if picture.mode in ("1", "LA") else "RGB")


def _has_transparency(picture: Image.Image) -> bool:
    if picture.mode in _WITH_ALPHA or _COLOUR_KEY in picture.info:
        return True
    return picture.palette is not None and picture.palette.mode == "RGBA"


def _with_straight_alpha(picture: Image.Image) -> Image.Image:
    """RGBA. Pillow 13 converts La, grey under its own alpha, to nothing: it goes by way of RGBa."""
    if picture.mode == "La":
        grey, alpha = picture.split()
        picture = Image.merge("RGBa", (grey, grey, grey, alpha))
    return picture.convert("RGBA")
