#!/usr/bin/env bash
# m2cgen 0.10.0, code of trees and forests of scikit-learn 1.9.1: a missing value (NaN).
#
# Guess: it goes the way that the tree has learned for what is missing, as it does in the code of LightGBM's; or the export is refused.
# Seen: it goes right, whatever was learned, for `x <= t` is false. Where what is missing belongs to the small values the code answers
# 10 for 0. All other rows agree, and nothing is raised or warned.
# Why it matters: the code is taken for services and devices without Python, where gaps are usual. Comparisons on rows without gaps pass,
# and for a column whose gaps mean something the answer is that of the opposite branch.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check m2cgen==0.10.0 scikit-learn==1.9.1 lightgbm==4.7.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import math
import sys

import m2cgen
import numpy as np
from lightgbm import LGBMRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

random = np.random.default_rng(0)
values = random.random((400, 2))
missing = random.random(400) < 0.3
rows = np.where(missing[:, None] & [True, False], np.nan, values)
models = {
    "a tree of scikit-learn": lambda: DecisionTreeRegressor(max_depth=2, random_state=0),
    "a forest of scikit-learn": lambda: RandomForestRegressor(5, max_depth=2, random_state=0),
    "LightGBM": lambda: LGBMRegressor(n_estimators=50, verbose=-1),
}
differing, others = set(), 0.0
for meaning, of_missing in {"small": 0.0, "large": 10.0}.items():
    targets = np.where(missing, of_missing, np.where(values[:, 0] > 0.5, 10.0, 0.0))
    for name, made in models.items():
        model, exported = made().fit(rows, targets), {}
        exec(m2cgen.export_to_python(model), exported)
        given = [[math.nan, 0.3], [0.2, 0.3], [0.9, 0.3]]
        expected = model.predict(np.array(given))
        answered = np.array([exported["score"](row) for row in given])
        if abs(answered[0] - expected[0]) > 5:
            differing.add((name, meaning))
        others = max(others, float(abs(answered[1:] - expected[1:]).max()))
        print(f"missing means {meaning}, {name}: {expected[0]:.1f}; the code of m2cgen: {answered[0]:.1f}")
print(f"rows without a gap differ by {others:.1g} at most")
wanted = {("a tree of scikit-learn", "small"), ("a forest of scikit-learn", "small")}
sys.exit(0 if differing == wanted and others < 1e-6 else 1)
PYTHON
