#!/usr/bin/env bash
# onnxmltools 1.16.0 (LightGBM 4.7.0, onnxruntime 1.32.0): convert_lightgbm of models with common parameters of LightGBM.
#
# Guess: the ONNX model computes what LightGBM does, or the converter says that it cannot, as it does of cross_entropy.
# Seen: a random forest (boosting_type="rf") is divided by its number of trees twice: 3.6 is 0.36. reg_sqrt is left out: answers are
# square roots. zero_as_missing and linear_tree are passed over, and so is sigmoid, which makes other probabilities. Nothing is raised.
# Why it matters: shapes and types fit, most are plausible numbers, and gbdt, dart and the objectives of counts agree to seven digits.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check onnxmltools==1.16.0 lightgbm==4.7.0 onnxruntime==1.32.0 \
    onnx==1.23.2 skl2onnx==1.20.0 scikit-learn==1.9.1 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import lightgbm
import numpy as np
import onnxruntime
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

onnxruntime.set_default_logger_severity(4)
random = np.random.default_rng(0)
rows = random.random((500, 3)).astype("float32")
targets = 3 * rows[:, 0] + rows[:, 1] + 1.5
rows[random.random(rows.shape) < 0.2] = 0  # what was not measured


def compared(kind, targets, **parameters):
    """What LightGBM and ONNX answer, [500]."""
    model = kind(n_estimators=10, verbose=-1, n_jobs=1, random_state=0, **parameters).fit(rows, targets)
    converted = convert_lightgbm(model, initial_types=[("rows", FloatTensorType([None, 3]))], zipmap=False)
    session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    answers = session.run(None, {"rows": rows})
    if kind is lightgbm.LGBMClassifier:
        return model.predict_proba(rows)[:, 1], answers[1][:, 1]
    return model.predict(rows), answers[0].ravel()


numbers, classes = lightgbm.LGBMRegressor, lightgbm.LGBMClassifier
bags = {"bagging_freq": 1, "bagging_fraction": 0.5}
cases = {
    "gbdt": (numbers, targets, {}),
    "dart": (numbers, targets, {"boosting_type": "dart"}),
    "poisson": (numbers, targets, {"objective": "poisson"}),
    "rf": (numbers, targets, {"boosting_type": "rf", **bags}),
    "reg_sqrt": (numbers, targets, {"reg_sqrt": True}),
    "zero_as_missing": (numbers, targets, {"zero_as_missing": True}),
    "linear_tree": (numbers, targets, {"linear_tree": True}),
    "sigmoid": (classes, (targets > 3).astype(int), {"sigmoid": 2.0}),
}
seen = {name: compared(kind, of, **parameters) for name, (kind, of, parameters) in cases.items()}
for name, (right, answers) in seen.items():
    furthest = np.abs(right - answers).argmax()
    print(f"{name:16} LightGBM {right[furthest]:.3f}, ONNX {answers[furthest]:.3f}")
off = {name: float(np.abs(right - answers).max()) for name, (right, answers) in seen.items()}
as_stated = (
    all(off[name] < 1e-5 for name in ("gbdt", "dart", "poisson"))
    and np.allclose(seen["rf"][0], 10 * seen["rf"][1], rtol=1e-5)
    and np.allclose(seen["reg_sqrt"][0], seen["reg_sqrt"][1] ** 2, rtol=1e-5)
    and all(off[name] > 0.05 for name in ("zero_as_missing", "linear_tree", "sigmoid"))
)
sys.exit(0 if as_stated else 1)
PYTHON
