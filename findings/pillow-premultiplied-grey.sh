#!/usr/bin/env bash
# Pillow 13.0.0: a grey TIFF with associated (premultiplied) alpha, ExtraSamples 1.
#
# Guess: mode LA, as premultiplied RGB comes out as RGBA; or at least something that converts to L or RGB.
# Seen: it is opened in mode La, which converts to LA alone: L, RGB and RGBA raise ValueError, and PNG cannot be saved.
# Why it matters: `Image.open(f).convert("RGB")`, the first line of most picture pipelines, fails for a valid file that
# was identified and decoded without complaint.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import numpy as np
import tifffile
from PIL import Image


def opened(samples):
    file = io.BytesIO()
    pixels = np.full((4, 4, samples), 100, "uint8")
    photometric = "minisblack" if samples == 2 else "rgb"
    tifffile.imwrite(file, pixels, photometric=photometric, extrasamples=["assocalpha"], metadata=None)
    return Image.open(file)


print("RGB with premultiplied alpha is opened as", opened(4).mode)
print("grey with premultiplied alpha is opened as", opened(2).mode)
fine = []
for mode in ("LA", "L", "RGB", "RGBA"):
    try:
        opened(2).convert(mode)
        print("  to", mode, "converts")
        fine.append(mode)
    except ValueError as error:
        print("  to", mode, "raises ValueError:", error)
as_stated = (opened(4).mode, opened(2).mode, fine) == ("RGBA", "La", ["LA"])
sys.exit(0 if as_stated else 1)
PYTHON
