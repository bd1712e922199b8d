#!/usr/bin/env bash
# LightGBM 4.7.0, its classifier with scikit-learn's interface (scikit-learn 1.9.1, pandas 3.1.1), beside two of the same kind.
#
# Guess: a model that was fitted on a frame, has `feature_names_in_` and writes the names into its file reads frames by them, or says
# that they are others.
# Seen: `predict` and `predict_proba` take the columns by place. With two of them exchanged, or renamed, it answers without a warning,
# and what it answers is wrong. So does a booster that was read from its file, unless each call says `validate_features=True`. Of the
# same frame scikit-learn's own trees and XGBoost raise, and CatBoost puts the columns in order.
# Why it matters: a service builds its frame from JSON or a query, in an order of its own, and the columns of a table are of one type.
# What was moved from one of the other libraries is no longer watched over.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check lightgbm==4.7.0 xgboost==3.2.0 catboost==1.2.10 \
    scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6 || exit 2
cd "$folder"
"$folder/venv/bin/python" -W error - <<'PYTHON'
import sys

import numpy as np
import pandas
from catboost import CatBoostClassifier
from lightgbm import Booster, LGBMClassifier
from lightgbm.basic import LightGBMError
from sklearn.ensemble import HistGradientBoostingClassifier
from xgboost import XGBClassifier

random = np.random.default_rng(0)
frame = pandas.DataFrame({"age": random.normal(size=500), "income": random.normal(size=500)})
bought = (2 * frame["age"] - frame["income"] > 0).astype(int)
exchanged = frame[["income", "age"]]


def outcome(predict):
    """How many of the exchanged frame's rows are answered otherwise."""
    try:
        return int(((predict(exchanged) > 0.5) != (predict(frame) > 0.5)).sum())
    except (ValueError, LightGBMError) as error:
        return type(error).__name__


model = LGBMClassifier(n_estimators=20, verbose=-1).fit(frame, bought)
model.booster_.save_model("model.txt")
booster = Booster(model_file="model.txt")
seen = {
    "LightGBM": outcome(model.predict),
    "its booster from a file": outcome(booster.predict),
    "the same, validate_features": outcome(lambda rows: booster.predict(rows, validate_features=True)),
    "scikit-learn": outcome(HistGradientBoostingClassifier(max_iter=20).fit(frame, bought).predict),
    "XGBoost": outcome(XGBClassifier(n_estimators=20).fit(frame, bought).predict),
    "CatBoost": outcome(CatBoostClassifier(iterations=20, verbose=0, allow_writing_files=False).fit(frame, bought).predict),
}
print("names:", model.feature_names_in_.tolist(), booster.feature_name())
for what, found in seen.items():
    print(f"{what:28}", f"{found} of {len(frame)} rows are answered otherwise" if isinstance(found, int) else found)
lost, also, *watched = seen.values()
as_stated = lost == also and lost > 100 and watched == ["LightGBMError", "ValueError", "ValueError", 0]
sys.exit(0 if as_stated else 1)
PYTHON
