#!/usr/bin/env bash
# TorchMetrics 1.9.0 (PyTorch 2.15.0): errors of pictures or masks that are given as uint8, as they are read.
#
# Guess: the error is that of the numbers, or uint8 is refused.
# Seen: the difference and its square wrap at 256. MeanSquaredError of two pictures that differ by 16 everywhere is 0.0, and by 255 it is 1;
# MeanAbsoluteError of 255 and 0 is right one way round and 1 the other. PeakSignalNoiseRatio of the same tensors is right. Nothing is
# raised or warned.
# Why it matters: uint8 is what read_image, PIL and OpenCV give, and the worse a model is the further it wraps: a mean squared error of 0
# ends a search, and one that grows when the model becomes better misleads it.
# It needs 5 GB on disk.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check torchmetrics==1.9.0 torch==2.15.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from torchmetrics import MeanAbsoluteError, MeanSquaredError
from torchmetrics.image import PeakSignalNoiseRatio


def picture(level):
    return torch.full((1, 1, 8, 8), level, dtype=torch.uint8)


def both(metric, answer, truth):
    """Of uint8, and of the same as float32."""
    return metric(answer, truth).item(), metric(answer.float(), truth.float()).item()


seen = {}
for answer, truth in ((100, 116), (0, 255), (255, 0)):
    for metric in (MeanSquaredError(), MeanAbsoluteError(), PeakSignalNoiseRatio(data_range=255.0)):
        name = type(metric).__name__
        seen[name, answer, truth] = found = both(metric, picture(answer), picture(truth))
        print(f"{name} of {answer} and {truth}: {found[0]:.2f}; of the same in float32: {found[1]:.2f}")
expected = {
    ("MeanSquaredError", 100, 116): (0, 256),
    ("MeanSquaredError", 0, 255): (1, 65025),
    ("MeanSquaredError", 255, 0): (1, 65025),
    ("MeanAbsoluteError", 0, 255): (1, 255),
    ("MeanAbsoluteError", 255, 0): (255, 255),
}
right = all(abs(a - b) < 1e-4 for (name, *_), (a, b) in seen.items() if name == "PeakSignalNoiseRatio")
sys.exit(0 if right and all(seen[key] == value for key, value in expected.items()) else 1)
PYTHON
