#!/usr/bin/env bash
# tifffile 2026.3.3, and imageio 2.38.1, which writes TIFF with it: an array of bool, [height, width], the mask of a segmentation.
#
# Guess: True is white, as in the PNG of the same mask and as 255 in an array of uint8; every reader finds the mask that was written.
# Seen: True is black. The file is of 1 bit and says that 0 is white (PhotometricInterpretation 0); tifffile passes over that
# when it reads, so its own round trip is right, and Pillow, OpenCV and libvips, which obey it, see the mask inverted. imageio
# writes with tifffile and reads bytes with Pillow: its own round trip inverts. Nothing is raised or warned; that the
# photometric interpretation follows from the type is documented, and not that it is this one.
# Why it matters: nothing in a mask tells object from ground. A net that is trained on such masks learns the background, and one that
# is judged by them is marked wrong where it is right.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check tifffile==2026.3.3 imageio==2.38.1 pillow==13.0.0 \
    opencv-python-headless==5.0.0.93 pyvips==3.2.0 pyvips-binary==8.18.7 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import cv2
import imageio.v3 as imageio
import numpy as np
import pyvips
import tifffile
from PIL import Image

mask = np.zeros((20, 30), bool)
mask[5:10, 5:15] = True
path = f"{sys.argv[1]}/mask"
tifffile.imwrite(f"{path}.tif", mask)
imageio.imwrite(f"{path}-imageio.tif", mask)
tifffile.imwrite(f"{path}-bytes.tif", mask.astype("uint8") * 255)
tifffile.imwrite(f"{path}-named.tif", mask, photometric="minisblack")
imageio.imwrite(f"{path}.png", mask)
Image.fromarray(mask).save(f"{path}-pillow.tif")
readers = {
    "tifffile": tifffile.imread,
    "Pillow": lambda path: np.asarray(Image.open(path)),
    "OpenCV": lambda path: cv2.imread(path, cv2.IMREAD_GRAYSCALE),
    "libvips": lambda path: pyvips.Image.new_from_file(path).numpy(),
}
marked = int(mask.sum())
print("written:", marked, "pixels of", mask.size, "are True; then read as not 0, by", ", ".join(readers))
seen = {}
for name in ("mask.tif", "mask-imageio.tif", "mask-bytes.tif", "mask-named.tif", "mask-pillow.tif", "mask.png"):
    able = [read for reader, read in readers.items() if name.endswith("tif") or reader != "tifffile"]
    found = [np.asarray(read(f"{sys.argv[1]}/{name}")) > 0 for read in able]
    seen[name] = ["right" if np.array_equal(each, mask) else "inverted" if np.array_equal(each, ~mask) else "?" for each in found]
    print(f"{name:17}", [int(each.sum()) for each in found], seen[name])
again = imageio.imread(imageio.imwrite("<bytes>", mask, extension=".tif"))
print("imageio to bytes and back:", int((again > 0).sum()))
inverted = ["right", "inverted", "inverted", "inverted"]
as_stated = (
    seen["mask.tif"] == seen["mask-imageio.tif"] == inverted
    and all(set(seen[name]) == {"right"} for name in ("mask-bytes.tif", "mask-named.tif", "mask-pillow.tif", "mask.png"))
    and np.array_equal(again > 0, ~mask)
)
sys.exit(0 if as_stated else 1)
PYTHON
