#!/usr/bin/env bash
# Pillow 13.0.0 and OpenCV 5.0.0.93: grey TIFF in which 0 is white (PhotometricInterpretation 0).
#
# Guess: the tag is honoured at every depth, or at none.
# Seen: Pillow inverts 8-bit grey and leaves 16-bit grey as stored, so one picture is positive at 8 bits and negative at
# 16. OpenCV inverts 16-bit grey when asked for IMREAD_GRAYSCALE and leaves it with IMREAD_UNCHANGED.
# Why it matters: scanners and fax programs write this tag; dark ink on white becomes white on black by the depth of the
# file, or by the flag that reads it, and neither library keeps a trace of it in the pixels.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3 opencv-python-headless==5.0.0.93 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import cv2
import numpy as np
import tifffile
from PIL import Image

stored = np.array([[10, 20, 30, 250]], "uint8")
right = (255 - stored).tolist()


def written(pixels):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="miniswhite", metadata=None)
    return file


def eight_bits(pixels):
    return (pixels >> 8 if pixels.dtype == np.uint16 else pixels).tolist()


file_8, file_16 = written(stored), written(stored.astype("uint16") * 257)
bytes_16 = np.frombuffer(file_16.getvalue(), "uint8")
seen = {
    "Pillow, 8 bits": np.asarray(Image.open(file_8)),
    "Pillow, 16 bits": np.asarray(Image.open(file_16)),
    "OpenCV, 16 bits, IMREAD_GRAYSCALE": cv2.imdecode(bytes_16, cv2.IMREAD_GRAYSCALE),
    "OpenCV, 16 bits, IMREAD_UNCHANGED": cv2.imdecode(bytes_16, cv2.IMREAD_UNCHANGED),
}
for case, pixels in seen.items():
    print(f"{case:34}", eight_bits(pixels), "; right is", right)
inverted = [eight_bits(pixels) == right for pixels in seen.values()]
sys.exit(0 if inverted == [True, False, True, False] else 1)
PYTHON
