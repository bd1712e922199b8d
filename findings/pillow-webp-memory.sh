#!/usr/bin/env bash
# Pillow 13.0.0 (libwebp's WebPAnimDecoder): memory for a still WebP picture. Linux.
#
# Guess: about what the pixels take, 4 bytes each, as for PNG and JPEG of the same size.
# Seen: four times that at the peak. Pillow opens any WebP as an animation: the decoder holds two canvases, and the frame
# is copied once to Python's bytes and once more to the picture.
# Why it matters: a limit on width × height that was measured with JPEG admits WebP uploads of four times the memory;
# at 25 million pixels one request takes 400 MB rather than 100.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check pillow==13.0.0 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import io
import subprocess
import sys

from PIL import Image

DECODE = """
import io, sys
from PIL import Image

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

Image.init()
data = sys.stdin.buffer.read()
before = peak()
picture = Image.open(io.BytesIO(data))
picture.load()
print((peak() - before) * 1024 / (picture.width * picture.height * 4))
"""
picture = Image.new("RGB", (3000, 3000), "white")
ratios = {}
for kind in ("PNG", "JPEG", "WEBP"):
    file = io.BytesIO()
    picture.save(file, kind)
    # A fresh process each: the peak never falls.
    command = [sys.executable, "-c", DECODE]
    ratios[kind] = float(subprocess.run(command, input=file.getvalue(), capture_output=True, check=True).stdout)
    print(f"{kind:4} peak is {ratios[kind]:.2f} times its pixels of 4 bytes")
sys.exit(0 if max(ratios["PNG"], ratios["JPEG"]) < 1.5 and ratios["WEBP"] > 3 else 1)
PYTHON
