#!/usr/bin/env bash
# torchvision 0.29.2: ToTensor on a picture of 16-bit grey, as scanners, X-ray and depth cameras write them.
#
# Guess: float32 from 0 to 1 as of 8-bit grey, or the levels as they are (what is neither 8-bit nor binary is not scaled).
# Seen: int16, and what does not fit is wrapped: mid-grey 32768 is -32768, and white, 65535, is -1, next to black. Nothing is
# raised. PILToTensor keeps the levels in uint16, and v2's to_image and to_dtype(scale=True) make 0 to 1 of them.
# Why it matters: ToTensor and Normalize is what most nets were trained with; a bright 16-bit picture reaches the net as a
# dark one with the lightest places darkest. Takes 5 GB on disk: PyTorch comes with CUDA.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0 || exit 2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import io
import sys

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import PILToTensor, ToTensor
from torchvision.transforms.v2.functional import to_dtype, to_image

file = io.BytesIO()
Image.fromarray(np.array([[0, 1000, 32767, 32768, 65535]], dtype=np.uint16)).save(file, "PNG")
picture = Image.open(file)

by_to_tensor, kept = ToTensor()(picture), PILToTensor()(picture)
scaled = to_dtype(to_image(picture), torch.float32, scale=True)
print("levels:               ", np.asarray(picture)[0].tolist(), picture.mode)
print("ToTensor:             ", by_to_tensor[0, 0].tolist(), by_to_tensor.dtype)
print("PILToTensor:          ", kept[0, 0].tolist(), kept.dtype)
print("to_image and to_dtype:", [round(level, 4) for level in scaled[0, 0].tolist()], scaled.dtype)
as_stated = (
    by_to_tensor.dtype == torch.int16
    and by_to_tensor[0, 0].tolist() == [0, 1000, 32767, -32768, -1]
    and kept[0, 0].tolist() == [0, 1000, 32767, 32768, 65535]
    and scaled[0, 0, -1] == 1
)
sys.exit(0 if as_stated else 1)
PYTHON
