#!/usr/bin/env bash
# Pillow 13.0.0: a big-endian, compressed TIFF of 32-bit or of signed 16-bit grey.
#
# Guess: the values of the file, as for the little-endian file and for the big-endian one without compression.
# Seen: the bytes are swapped twice, once by libtiff while it decompresses and once by Pillow after that. 1.0 is read
# as 4.6e-41 and 1 as 16777216, with nothing raised. Unsigned 16 bits are right.
# Why it matters: instruments and geographic data come big-endian; stretched to its own range, the picture looks like
# noise, and averages over a data set are off by a factor of millions.
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


def read(dtype, order, compression):
    file = io.BytesIO()
    values = np.array([[1, 2, 3, 300]], dtype)
    tifffile.imwrite(file, values, byteorder=order, compression=compression, metadata=None)
    file.seek(0)
    assert tifffile.imread(file).tolist() == values.tolist()  # the file itself is sound
    return np.asarray(Image.open(file)).tolist() == values.tolist(), np.asarray(Image.open(file)).tolist()


as_stated = True
for dtype in ("float32", "int32", "int16", "uint16"):
    for order, compression in (("<", "zlib"), (">", None), (">", "zlib")):
        right, values = read(dtype, order, compression)
        print(f"{dtype:8} {order} {compression or 'plain':5} {'right' if right else 'WRONG'} {values}")
        as_stated &= right is not (order == ">" and compression == "zlib" and dtype != "uint16")
sys.exit(0 if as_stated else 1)
PYTHON
