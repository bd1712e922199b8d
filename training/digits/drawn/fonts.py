"""The fonts of this machine that training may draw with, and those that are held back for the evaluation.

No font is part of the project. Debian's packages have them (fonts-liberation, fonts-freefont-ttf,
fonts-urw-base35, fonts-dkg-handwriting, fonts-humor-sans, …); matplotlib brings a few, which are enough.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from string import ascii_letters, digits
from typing import NamedTuple

import matplotlib
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from training.digits.drawn.hand import Random

HAND_LIKE = frozenset(
    {
        *("Breip", "Chilanka", "Comic Neue", "DkgHandwriting", "Domestic Manners"),
        *("Humor Sans", "Rufscript", "Tomson Talks", "Yusei Magic", "Z003"),
    }
)
PRINTED = frozenset(
    {
        *("Liberation Mono", "Liberation Sans", "Liberation Sans Narrow", "Liberation Serif"),
        *("FreeMono", "FreeSans", "FreeSerif", "Nimbus Mono PS", "Nimbus Roman", "Nimbus Sans"),
        *("Nimbus Sans Narrow", "C059", "P052", "URW Bookman", "URW Gothic", "Carlito", "Roboto"),
        *("Roboto Condensed", "Lato", "Cantarell", "Courier Prime", "GFS Didot", "Old Standard TT"),
        *("OCR B", "cmb10", "cmr10", "cmss10", "cmtt10"),
    }
)
HELD_OUT_HAND_LIKE = frozenset(
    {"Dancing Script", "Delphine", "Femke Klaver", "Klee One", "Kristi", "Purisa", "Steve"}
)
HELD_OUT_PRINTED = frozenset(
    {
        *("DejaVu Sans", "DejaVu Sans Mono", "DejaVu Serif", "STIXGeneral"),
        *("Open Sans", "PT Sans", "PT Serif", "PT Mono", "Caladea", "B612", "Quicksand", "OCRA"),
    }
)
TYPE_SIZE = 100  # pixels of an em
SMALL = 16  # likewise, enough to see that a character is there
NO_CHARACTER = "\uffff"  # what any font draws as a character that it lacks

Write = Callable[[Random], tuple[Image.Image, str]]


class Font(NamedTuple):
    """A file, and the family that it is of."""

    path: Path
    family: str

    def able(self, characters: str) -> list[str]:
        """Which of these it has."""
        if self.family.startswith("cm"):  # the rest lies where TeX expects it, not Unicode
            characters = "".join(set(characters) & set(ascii_letters + digits))
        face = ImageFont.truetype(self.path, SMALL)
        missing = bytes(face.getmask(NO_CHARACTER))
        return [text for text in sorted(set(characters)) if bytes(face.getmask(text)) not in (missing, b"")]


def fonts_of(families: frozenset[str]) -> tuple[Font, ...]:
    """Those of these families that this machine has, in one order everywhere."""
    return tuple(font for font in _installed() if font.family in families)


def families_at_hand(families: frozenset[str]) -> tuple[str, ...]:
    """Which of them this machine has: what is drawn depends on it."""
    return tuple(sorted({font.family for font in fonts_of(families)}))


@cache
def _installed() -> tuple[Font, ...]:
    bundled = (Path(matplotlib.get_data_path()) / "fonts" / "ttf").glob("*.ttf")
    paths = {Path(path) for path in font_manager.findSystemFonts()} | set(bundled)
    found: dict[str, Font] = {}
    for path in sorted(paths, key=lambda path: (path.name, str(path))):
        if path.suffix in (".ttf", ".otf") and path.name not in found and (family := _family(path)):
            found[path.name] = Font(path, family)
    return tuple(found.values())


def _family(path: Path) -> str | None:
    try:
        return typeface(path).getname()[0]
    except OSError:  # no font that can be drawn with
        return None


@cache
def typeface(path: Path) -> ImageFont.FreeTypeFont:
    """Ready to draw with."""
    return ImageFont.truetype(path, TYPE_SIZE)


def glyph(font: Font, text: str) -> Image.Image:
    """Light on black, cut to its ink with a margin of a tenth of an em."""
    face, margin = typeface(font.path), TYPE_SIZE // 10
    left, top, right, bottom = face.getbbox(text)
    width, height = max(1, round(right - left)), max(1, round(bottom - top))
    sheet = Image.new("L", (width + 2 * margin, height + 2 * margin))
    ImageDraw.Draw(sheet).text((margin - left, margin - top), text, fill=255, font=face)
    return sheet


@cache
def writer(families: frozenset[str], characters: str) -> Write | None:
    """Draws one of the characters in one of the families that have it: the glyph, and which it is.

    Every family is as likely as any other, however many files it has. None where no family has any.
    """
    families_able = [
        able
        for family in families_at_hand(families)
        if (
            able := [
                (font, texts) for font in fonts_of(frozenset({family})) if (texts := font.able(characters))
            ]
        )
    ]

    if not families_able:
        return None

    def write(random: Random) -> tuple[Image.Image, str]:
        fonts = families_able[random.integers(len(families_able))]
        font, able = fonts[random.integers(len(fonts))]
        text = able[random.integers(len(able))]
        return glyph(font, text), text

    return write
