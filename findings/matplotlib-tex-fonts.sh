#!/usr/bin/env bash
# matplotlib 3.11.2: what its Computer Modern fonts draw for the digits and signs of ASCII.
#
# Guess: a font whose character map (cmap) has "3" draws a 3, so that "has it all ten digits?" finds the fonts of which
# pictures of digits can be made. matplotlib brings 40 fonts to every machine, so they are at hand.
# Seen: cmsy10.ttf and cmex10.ttf map all ten digits, by TeX's own encoding, to other glyphs: "3" is the sign "contains as a member"
# and the upper end of a large bracket. cmr10.ttf, a text font, has a 3, but draws "<" as "¡", "{" as a dash and "|" as
# a shorter one. Nothing tells: FreeType finds a glyph and Pillow draws it.
# Why it matters: a data set of digits that is drawn with all fonts that have them is labelled wrongly for every row of two fonts.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check matplotlib==3.11.2 fonttools==4.68.0 pillow==13.0.0 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from pathlib import Path

import matplotlib
from fontTools.ttLib import TTFont
from PIL import ImageFont

fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
seen = {}
for name, character in (("DejaVuSans", "3"), ("cmr10", "3"), ("cmsy10", "3"), ("cmex10", "3"), ("cmr10", "<"), ("cmr10", "|")):
    path = fonts / f"{name}.ttf"
    names = TTFont(path).getBestCmap()
    drawn = ImageFont.truetype(path, 40).getmask(character).getbbox() is not None
    digits = all(ord(digit) in names for digit in "0123456789")
    seen[name, character] = names[ord(character)]
    print(f"{name:10} {character}  glyph {names[ord(character)]:18} drawn: {drawn}, maps all ten digits: {digits}")
    if not (drawn and digits):
        sys.exit(1)
expected = {
    ("DejaVuSans", "3"): "three",
    ("cmr10", "3"): "three",
    ("cmsy10", "3"): "owner",
    ("cmex10", "3"): "bracketrighttp",
    ("cmr10", "<"): "exclamdown",
    ("cmr10", "|"): "endash",
}
sys.exit(seen != expected)
PYTHON
