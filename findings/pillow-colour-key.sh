#!/usr/bin/env bash
# Pillow 13.0.0: PNG of 2- or 4-bit grey, or of 16-bit RGB, with a colour key (chunk tRNS: one level is transparent).
#
# Guess: pixels of the key's level get alpha 0 when converted to RGBA.
# Seen: pixels are scaled to 8 bits (level 3 of 3 is 255, level 15 of 15 is 255, 0x1234 is 0x12), but the key stays as
# stored. No level of 2- or 4-bit grey but 0 ever matches; of 16-bit RGB the key's low byte is compared with the pixels'
# high byte. 8-bit grey is right.
# Why it matters: what is drawn on a transparent ground comes out on an opaque one; ink and ground may be one level.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check pillow==13.0.0 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import sys
import zlib

from PIL import Image


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def alphas(width, bits, colour, row, key):
    header = struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"tRNS", key), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)
    picture = Image.open(io.BytesIO(data)).convert("RGBA")
    return list(picture.getchannel("A").tobytes())


grey, rgb = 0, 2
seen = {
    "8-bit grey 0 255, key 255": alphas(2, 8, grey, bytes([0, 255]), struct.pack(">H", 255)),
    "4-bit grey 0 15, key 15": alphas(2, 4, grey, bytes([0x0F]), struct.pack(">H", 15)),
    "2-bit grey 0 3, key 3": alphas(2, 2, grey, bytes([0b00110000]), struct.pack(">H", 3)),
    "16-bit RGB 0 0x1234, key 0x1234": alphas(
        2, 16, rgb, struct.pack(">6H", 0, 0, 0, *[0x1234] * 3), struct.pack(">3H", *[0x1234] * 3)
    ),
}
for case, alpha in seen.items():
    print(f"{case:32} alpha {alpha}; right is [255, 0]")
sys.exit(0 if list(seen.values()) == [[255, 0], *[[255, 255]] * 3] else 1)
PYTHON
