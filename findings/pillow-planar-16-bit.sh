#!/usr/bin/env bash
# Pillow 13.0.0: a 16-bit RGB TIFF whose colours are stored plane by plane, without compression.
#
# Guess: the same pixels as when the colours are interleaved, or an error.
# Seen: each byte is taken for a sample of its own; the picture is noise, with nothing raised. The same file with
# zlib compression is read right, as libtiff reads that one and Pillow's own code the other.
# Why it matters: scanners and microscopes write such files; a model is trained or asked on noise and nobody is told.
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

planes = (np.arange(3 * 4 * 4).reshape(3, 4, 4) * 1000).astype("uint16")
right = (planes >> 8).astype("uint8").transpose(1, 2, 0)  # Pillow keeps the high byte of each sample


def read(**options):
    file = io.BytesIO()
    tifffile.imwrite(file, planes, photometric="rgb", planarconfig="separate", metadata=None, **options)
    return np.asarray(Image.open(file))


plain, compressed = read(), read(compression="zlib")
print("right, first row:     ", right[0].tolist())
print("without compression:  ", plain[0].tolist())
print("with zlib compression:", compressed[0].tolist())
as_stated = np.array_equal(compressed, right) and not np.array_equal(plain, right)
sys.exit(0 if as_stated else 1)
PYTHON
