#!/usr/bin/env bash
# SimpleITK 2.5.7: arithmetic of an image of integers and a number, as of a CT in Hounsfield units, 16 bits with sign.
#
# Guess: scan * 0.5 is half of it, in whole numbers or in floating point; / gives floating point, so scan / 0.5 is twice the scan.
# Seen: the number is cut to the pixels' type before it is used, though the signature says double: scan * 0.5 is 0 everywhere,
# scan * 1.5 the scan itself, scan ** 0.5 is 1, and scan / 0.5 infinity, as floating point. scan / 2, ShiftScale by 0.5, and all of
# it once the image is cast to floating point are right. Nothing is raised or warned.
# Why it matters: the slope of a scanner, a weight in a mean and a factor of normalisation are such numbers. scan * slope is
# right while the slope is 1 and black once it is 0.5, and 1.5 is worse: the picture looks as it should.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk

pixels = np.array([[-1000, 0, 40, 1000]], "int16")
scan = sitk.GetImageFromArray(pixels)
real = sitk.Cast(scan, sitk.sitkFloat64)
cases = {
    "scan * 0.5": (scan * 0.5, pixels * 0.5),
    "0.5 * scan": (0.5 * scan, pixels * 0.5),
    "scan * 1.5": (scan * 1.5, pixels * 1.5),
    "abs(scan) ** 0.5": (sitk.Abs(scan) ** 0.5, np.floor(np.abs(pixels) ** 0.5)),
    "scan / 0.5": (scan / 0.5, pixels / 0.5),
    "scan / 2": (scan / 2, pixels / 2),
    "scan * 2": (scan * 2, pixels * 2),
    "ShiftScale by 0.5": (sitk.ShiftScale(scan, 0.0, 0.5), pixels * 0.5),
    "cast, * 0.5": (real * 0.5, pixels * 0.5),
    "cast, / 0.5": (real / 0.5, pixels / 0.5),
}
print("scan:", pixels[0].tolist())
seen, right = {}, {}
for name, (image, expected) in cases.items():
    array = sitk.GetArrayFromImage(image)
    seen[name], right[name] = array[0].tolist(), np.array_equal(array, expected)
    print(f"{name:18} {image.GetPixelIDTypeAsString():22} {'right' if right[name] else 'WRONG'} {seen[name]}")
as_stated = (
    seen["scan * 0.5"] == seen["0.5 * scan"] == [0, 0, 0, 0]
    and seen["scan * 1.5"] == pixels[0].tolist()
    and seen["abs(scan) ** 0.5"] == [1, 1, 1, 1]
    and np.array_equal(seen["scan / 0.5"], [-np.inf, np.nan, np.inf, np.inf], equal_nan=True)
    and list(right.values()) == [False] * 5 + [True] * 5
)
sys.exit(0 if as_stated else 1)
PYTHON
