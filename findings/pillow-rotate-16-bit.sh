#!/usr/bin/env bash
# Pillow 13.0.0: rotating (or transforming) a 16-bit grey picture, mode I;16, with BILINEAR or BICUBIC.
#
# Guess: an even grey stays the same grey inside, or an error says that the mode is not supported.
# Seen: a picture of 1000 everywhere becomes a few hundred and single digits side by side, with nothing raised: the bytes
# of each level are interpolated as pixels of their own. NEAREST is right, and so is mode I.
# Why it matters: small rotations are the commonest augmentation, and X-rays, depth maps and microscopy are 16-bit grey;
# the model is trained on stripes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check pillow==13.0.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from PIL import Image

even = Image.fromarray(np.full((9, 9), 1000, "uint16"))
as_stated = even.mode == "I;16"
for mode in ("I;16", "I"):
    for method in ("NEAREST", "BILINEAR", "BICUBIC"):
        turned = even.convert(mode).rotate(5, Image.Resampling[method])
        row = np.asarray(turned)[4, 1:-1].tolist()
        right = set(row) == {1000}
        print(f"{mode:4} {method:8} {'right' if right else 'WRONG'}", row)
        as_stated &= right is not (mode == "I;16" and method != "NEAREST")
sys.exit(0 if as_stated else 1)
PYTHON
