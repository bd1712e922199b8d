#!/usr/bin/env bash
# Pillow 13.0.0: pasting one 16-bit grey picture (mode I;16) into another through a mask of mode L.
#
# Guess: a mask of 255 everywhere copies the whole picture; or an error says that the mode is not supported.
# Seen: the left half of each row is copied and the right half is not, with nothing raised. A mask of mode 1 is right,
# and so is no mask. Image.composite does the same.
# Why it matters: padding to a square, cutting out and mixing in are how training pictures are made; half is lost.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check pillow==13.0.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from PIL import Image

source = Image.fromarray(np.full((2, 8), 1000, "uint16"))
masks = {"none": None, "mode 1": Image.new("1", (8, 2), 1), "mode L": Image.new("L", (8, 2), 255)}
rows = {}
for name, mask in masks.items():
    target = Image.fromarray(np.zeros((2, 8), "uint16"))
    target.paste(source, (0, 0), mask)
    rows[name] = np.asarray(target)[0].tolist()
zeros = Image.fromarray(np.zeros((2, 8), "uint16"))
rows["composite, mode L"] = np.asarray(Image.composite(source, zeros, masks["mode L"]))[0].tolist()
for name, row in rows.items():
    print(f"{name:18}", row)
whole, half = [1000] * 8, [1000] * 4 + [0] * 4
sys.exit(0 if list(rows.values()) == [whole, whole, half, half] else 1)
PYTHON
