#!/usr/bin/env bash
# TorchMetrics 1.9.0 (PyTorch 2.15.0), binary_matthews_corrcoef of answers that are all the same class.
#
# Guess: 0, as in scikit-learn and as for more than two classes in TorchMetrics: what never changes tells nothing.
# Seen: the rarer the other class is, the nearer to 1: a model that says "no" 1000 times gets 0.31 if 10 were "yes", and 0.9985 if one
# was. It gets 0 if the classes are equal in number, -0.31 if it says the rare one, and what is right once a single answer differs.
# Nothing is raised or warned, and the documents have no word of it.
# Why it matters: this coefficient is chosen for rare classes because accuracy, 0.999 here, praises such a model. A search for
# parameters or an early stop that goes by it keeps the model that has learnt nothing.
# It needs 5 GB on disk.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check torchmetrics==1.9.0 torch==2.15.0 scikit-learn==1.9.1 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from sklearn.metrics import matthews_corrcoef
from torchmetrics.functional.classification import binary_matthews_corrcoef, multiclass_matthews_corrcoef


def rare(yes):
    labels = torch.zeros(1000, dtype=torch.long)
    labels[:yes] = 1
    return labels


never, always = rare(0), rare(1000)
once_wrong, once_right, half_right = never.clone(), never.clone(), never.clone()
once_wrong[-1] = once_right[0] = 1
half_right[5:15] = 1
cases = {
    "500 of 1000 are yes, all answers no": (never, rare(500)),
    "100 of 1000 are yes, all answers no": (never, rare(100)),
    "10 of 1000 are yes, all answers no": (never, rare(10)),
    "1 of 1000 is yes, all answers no": (never, rare(1)),
    "10 of 1000 are yes, all answers yes": (always, rare(10)),
    "10 of 1000 are yes, one answer, wrong": (once_wrong, rare(10)),
    "10 of 1000 are yes, one answer, right": (once_right, rare(10)),
    "10 of 1000 are yes, 5 of 10 right": (half_right, rare(10)),
}
right, seen = [], []
for name, (answers, labels) in cases.items():
    right.append(float(matthews_corrcoef(labels, answers)))
    seen.append(binary_matthews_corrcoef(answers, labels).item())
    print(f"{name:38} scikit-learn {right[-1]:7.4f}, TorchMetrics {seen[-1]:7.4f}")
three = multiclass_matthews_corrcoef(never, rare(10) * 2, num_classes=3).item()
print("as three classes, 10 of 1000 are another, all answers the same:", three)
as_stated = (
    right[:5] == [0.0] * 5
    and three == 0
    and [round(number, 4) for number in seen[:5]] == [0.0, 0.0843, 0.3115, 0.9985, -0.3115]
    and all(abs(a - b) < 1e-6 for a, b in zip(right[5:], seen[5:]))
)
sys.exit(0 if as_stated else 1)
PYTHON
