#!/usr/bin/env bash
# TorchMetrics 1.9.0 and TorchEval 0.0.7 (PyTorch 2.15.0): r2_score and explained variance of float32 numbers far from zero.
#
# Guess: R2 does not change when the same number is added to all answers and targets, as long as float32 can tell them apart; it
# is never above 1, and what scikit-learn says of the same float32 arrays.
# Seen: for energies of about -406757 that differ by 6, and answers that are off by 1.5, it is 1.0002, 0.9998, 0 or minus infinity, by the
# rows alone; right is 0.93. The total is computed as the sum of the squares less the square of the sum, and nothing is left of that in
# seven digits. In float64, or with the mean taken off, both are right; so are the mean squared error and Pearson's
# correlation. Nothing is raised or warned.
# Why it matters: such are energies of molecules in kcal/mol, on which force fields are trained, and times and air pressure come near.
# "R2 = 1.0000" is what one hopes to read.
# It needs 5 GB on disk.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check torchmetrics==1.9.0 torcheval==0.0.7 torch==2.15.0 scikit-learn==1.9.1 \
    numpy==2.4.6 || exit 2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import torch
import torcheval.metrics.functional as torcheval
import torchmetrics.functional as torchmetrics
from sklearn import metrics

right, seen, neighbours = [], [], []
for seed in range(3):
    random = np.random.default_rng(seed)
    energies = random.normal(-406757, 6, 100).astype("float32")
    answers = (energies + random.normal(0, 1.5, 100)).astype("float32")
    numbers = torch.from_numpy(answers), torch.from_numpy(energies)
    centred = [tensor - numbers[1].mean() for tensor in numbers]
    exact = [tensor.double() for tensor in numbers]
    r2 = metrics.r2_score(energies, answers)
    right.append(r2)
    wrong = {
        "TorchMetrics": torchmetrics.r2_score(*numbers),
        "its explained variance": torchmetrics.explained_variance(*numbers),
        "TorchEval": torcheval.r2_score(*numbers),
    }
    seen.append([value.item() for value in wrong.values()])
    print(f"rows {seed}: R2 by scikit-learn {r2:.4f};", ", ".join(f"{name} {value.item():.4f}" for name, value in wrong.items()))
    same = [r2_score(*pair).item() for r2_score in (torchmetrics.r2_score, torcheval.r2_score) for pair in (centred, exact)]
    print("        less the mean, and as float64:", [round(value, 4) for value in same])
    pearson = torchmetrics.pearson_corrcoef(*numbers).item() - np.corrcoef(*[tensor.numpy() for tensor in exact])[0, 1]
    squares = torchmetrics.mean_squared_error(*numbers).item() / metrics.mean_squared_error(energies, answers) - 1
    neighbours += [value - r2 for value in same] + [pearson, squares]
as_stated = (
    all(0.9 < value < 0.95 for value in right)
    and all(abs(value - r2) > 0.04 for r2, values in zip(right, seen) for value in values)
    and all(abs(off) < 1e-3 for off in neighbours)
)
sys.exit(0 if as_stated else 1)
PYTHON
