#!/usr/bin/env bash
# XGBoost 3.2.0, save_model and load_model of a model that was fitted with missing=-999 (scikit-learn's interface, JSON or UBJSON).
#
# Guess: the loaded model answers as the one that was saved: it is the form that its documents name for sharing and keeping a model.
# Seen: which number means "missing" is not in the file, and nothing else tells it. The loaded model takes -999 for a measurement, the
# least of all, and sends it down another branch: rows with a gap that were 5.0 are 0.0. Nothing is raised or warned; what is
# pickled is right. The documents say that parameters of training are not saved; this one is needed for each answer.
# Why it matters: rows without gaps agree, so a check with a few whole rows passes. Here the mean error is 500 times what it was.
# NaN, which is missing by default, survives.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check xgboost-cpu==3.2.0 scikit-learn==1.9.1 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import pickle
import sys

import numpy as np
import xgboost

random = np.random.default_rng(0)
rows = random.random((1000, 3)).astype("float32")
gaps = random.random(1000) < 0.3
targets = np.where(gaps, 5, rows[:, 0])  # that there is a gap is what tells most
rows[gaps, 0] = -999
fitted = xgboost.XGBRegressor(missing=-999, n_estimators=50, max_depth=3, random_state=0).fit(rows, targets)


def through_a_file(model, suffix):
    model.save_model(f"{sys.argv[1]}/model.{suffix}")
    loaded = xgboost.XGBRegressor()
    loaded.load_model(f"{sys.argv[1]}/model.{suffix}")
    return loaded


models = {
    "fitted": fitted,
    "pickled": pickle.loads(pickle.dumps(fitted)),
    "from JSON": through_a_file(fitted, "json"),
    "from UBJSON": through_a_file(fitted, "ubj"),
}
mean = {}
for name, model in models.items():
    answers = model.predict(rows)
    error = float(np.abs(answers - targets).mean())
    mean[name] = float(answers[gaps].mean()), float(answers[~gaps].mean()), error
    print(f"{name:12} missing={model.missing!s:6} rows with a gap: %.2f, without: %.2f; mean error %.3f" % mean[name])
nan = np.where(rows == -999, np.nan, rows)
of_nan = xgboost.XGBRegressor(n_estimators=50, max_depth=3, random_state=0).fit(nan, targets)
survives = np.array_equal(of_nan.predict(nan), through_a_file(of_nan, "json").predict(nan))
print("fitted with NaN for gaps, the loaded model is the same:", survives)
as_stated = (
    survives
    and mean["fitted"] == mean["pickled"]
    and mean["fitted"][0] > 4.9
    and mean["from JSON"] == mean["from UBJSON"]
    and mean["from JSON"][0] < 0.5
    and abs(mean["from JSON"][1] - mean["fitted"][1]) < 1e-6
)
sys.exit(0 if as_stated else 1)
PYTHON
