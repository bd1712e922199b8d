#!/usr/bin/env bash
# pyvips 3.2.0 (libvips 8.18.7), a NumPy array of 16-bit grey, [height, width] uint16: a medical picture, a scan, a depth map.
#
# Guess: write_to_file("x.png") writes a PNG of 16 bits; PNG has them.
# Seen: it writes 8 bits and cuts off what is above: 257 and 65535 are both 255, so all but the darkest 256th is white. So do a
# thumbnail and colourspace("b-w"). The same array is scaled as JPEG (65535 is 255, 257 is 1 or 2) and kept as TIFF; as PNG it is kept if
# it has three channels or was read from a file. Nothing is raised or warned.
# Why it matters: of an array, one channel is called "b-w", which is grey of 8 bits to libvips, whatever the array's type. In a folder of
# PNG files that was made so, every picture is white, and each opens without complaint.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check pyvips==3.2.0 pyvips-binary==8.18.7 numpy==2.4.6 pillow==13.0.0 || exit 2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import numpy as np
import pyvips
from PIL import Image

grey = np.array([[0, 257, 32768, 65535]], np.uint16)
of_array = pyvips.Image.new_from_array(grey)
of_colours = pyvips.Image.new_from_array(np.stack([grey] * 3, axis=-1))
Image.fromarray(grey).save(f"{sys.argv[1]}/grey.png")
of_file = pyvips.Image.new_from_file(f"{sys.argv[1]}/grey.png")


def written(image, suffix):
    """The first channel of what a reader finds in the file."""
    return pyvips.Image.new_from_buffer(image.write_to_buffer(suffix), "").numpy().reshape(4, -1)[:, 0].tolist()


seen = {
    "array as PNG": written(of_array, ".png"),
    "array, thumbnail": of_array.thumbnail_image(4).numpy().ravel().tolist(),
    "array, b-w": of_array.colourspace("b-w").numpy().ravel().tolist(),
    "array as JPEG": written(of_array, ".jpg"),
    "array as TIFF": written(of_array, ".tif"),
    "array of three channels as PNG": written(of_colours, ".png"),
    "file as PNG": written(of_file, ".png"),
    "file, b-w": of_file.colourspace("b-w").numpy().ravel().tolist(),
}
print("given:", grey.ravel().tolist(), "which is", of_array.interpretation, "of an array and", of_file.interpretation, "of a file")
for how, values in seen.items():
    print(f"{how:31}", values)
cut = [0, 255, 255, 255]
as_stated = (
    all(seen[how] == cut for how in ("array as PNG", "array, thumbnail", "array, b-w"))
    and all(seen[how] == grey.ravel().tolist() for how in ("array as TIFF", "array of three channels as PNG", "file as PNG"))
    and np.allclose(seen["array as JPEG"], [0, 1, 128, 255], atol=3)
    and seen["file, b-w"] == [0, 1, 128, 255]
)
sys.exit(0 if as_stated else 1)
PYTHON
