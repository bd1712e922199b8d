#!/usr/bin/env bash
# skl2onnx 1.20.0 (scikit-learn 1.9.1, onnxruntime 1.32.0): SimpleImputer(add_indicator=True) and Normalizer("max").
#
# Guess: the ONNX model computes what the fitted one does, or to_onnx says that it cannot.
# Seen: the indicator's columns are left out, and nothing is raised: behind it a logistic regression of six columns is computed with
# three, and gives four rows in ten another class. "max" divides by the greatest number where scikit-learn divides by the
# greatest magnitude, so a row of negative numbers changes its sign.
# Why it matters: that a value is missing is often what tells most. Shapes fit, the file passes every check, and rows without
# a missing or negative value agree, so a short comparison shows nothing.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check skl2onnx==1.20.0 scikit-learn==1.9.1 onnxruntime==1.32.0 \
    onnx==1.23.2 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

onnxruntime.set_default_logger_severity(4)


def with_onnx(fitted, rows):
    model = to_onnx(fitted, rows[:1]).SerializeToString()
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"X": rows})[0]


random = np.random.default_rng(0)
rows = random.normal(size=(300, 3)).astype("float32")
rows[random.random(rows.shape) < 0.3] = np.nan
labels = np.where(np.isnan(rows[:, 2]), 1, rows[:, 0] > 0).astype(int)
indicator = SimpleImputer(add_indicator=True).fit(rows)
columns = indicator.transform(rows).shape[1], with_onnx(indicator, rows).shape[1]
print(f"imputer: {columns[0]} columns from scikit-learn, {columns[1]} from ONNX")
pipeline = make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression()).fit(rows, labels)
other = int((pipeline.predict(rows) != with_onnx(pipeline, rows)).sum())
print(f"behind it, a logistic regression: {other} of {len(rows)} rows get another class")

numbers = np.array([[1, 2, 4], [-4, 1, 2], [-2, -4, -1]], "float32")
normaliser = Normalizer("max").fit(numbers)
right, seen = normaliser.transform(numbers), with_onnx(normaliser, numbers)
for row, expected, got in zip(numbers, right, seen):
    print(f"max of {row.tolist()}: scikit-learn {expected.tolist()}, ONNX {got.tolist()}")
signed = np.allclose(seen, numbers / numbers.max(axis=1, keepdims=True))
as_stated = columns == (6, 3) and other > 50 and signed and np.array_equal(right[0], seen[0]) and not np.allclose(right, seen)
sys.exit(0 if as_stated else 1)
PYTHON
