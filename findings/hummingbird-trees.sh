#!/usr/bin/env bash
# hummingbird-ml 0.4.12, scikit-learn 1.9.1 (PyTorch 2.15.0): trees as a PyTorch module, and rows with a missing value; losses of counts.
#
# Guess: `convert(model, "torch").predict` is the model's own `predict` to float32, for whatever it takes without a word.
# Seen: a gap (NaN) goes right in every tree, forest and histogram gradient boosting, whatever was learned: 10 where the model says 0.
# HistGradientBoostingRegressor with the loss "poisson" or "gamma" answers the logarithm: 0.68 for 1.98. Rows without
# gaps and other losses agree; nothing is raised or warned.
# Why it matters: gaps are what histogram gradient boosting is chosen for, and Poisson what counts and claims are fitted by. A test on
# whole rows passes; the served module then answers the opposite branch, or the logarithm of a frequency.
# It needs 5 GB on disk.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check hummingbird-ml==0.4.12 torch==2.15.0 scikit-learn==1.9.1 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from hummingbird.ml import convert
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

random = np.random.default_rng(0)
values = random.random((400, 2), np.float32)
missing = random.random(400) < 0.3
rows = np.where(missing[:, None] & [True, False], np.float32(np.nan), values)
targets = np.where(missing | (values[:, 0] < 0.5), 0.0, 10.0)
counts = random.poisson(np.exp(2 * values[:, 0]))
asked = np.array([[np.nan, 0.3], [0.2, 0.3], [0.9, 0.3]], np.float32)


def both(model, given):
    """The model's own answers, and those of the module."""
    converted = convert(model, "torch", given).predict(given).ravel()
    print(f"{model}: {model.predict(given).round(2)}, hummingbird: {converted.round(2)}")
    return model.predict(given), converted


as_stated = True
for model in (
    DecisionTreeRegressor(max_depth=2, random_state=0),
    RandomForestRegressor(5, max_depth=2, random_state=0),
    HistGradientBoostingRegressor(max_iter=50),
):
    (gap, *whole), (their_gap, *their_whole) = both(model.fit(rows, targets), asked)
    as_stated &= gap < 1 and their_gap > 9 and np.allclose(whole, their_whole, atol=1e-4)
for loss in ("poisson", "gamma", "squared_error"):
    own, theirs = both(HistGradientBoostingRegressor(loss=loss, max_iter=50).fit(values, counts + 1), asked[1:])
    as_stated &= np.allclose(theirs, own if loss == "squared_error" else np.log(own), atol=1e-4)
sys.exit(0 if as_stated else 1)
PYTHON
