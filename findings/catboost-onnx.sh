#!/usr/bin/env bash
# CatBoost 1.2.10, save_model(format="onnx") of models of numbers alone (onnxruntime 1.32.0).
#
# Guess: the file answers as the model does; the documents except categorical features, and nothing else.
# Seen: with the losses of counts (Poisson, Tweedie) it answers the logarithm: 2.3 events are 0.8. The probabilities of
# MultiClassOneVsAll are made to add up to one, which each class for itself does not: 0.29, 0.37 and 0.63 are 0.15, 0.22 and 0.63. The
# threshold of set_probability_threshold is not in the labels. Nothing is raised or warned.
# Why it matters: names, shapes and types fit, labels of several classes are right, and RMSE, quantiles and softmax agree to
# seven digits. The native and the JSON format keep all of it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check catboost==1.2.10 onnxruntime==1.32.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from catboost import CatBoostClassifier, CatBoostRegressor

onnxruntime.set_default_logger_severity(4)
random = np.random.default_rng(0)
rows = random.random((500, 3)).astype("float32")
targets = 3 * rows[:, 0] + rows[:, 1] + 1.5
how = {"iterations": 20, "depth": 4, "verbose": False, "allow_writing_files": False, "thread_count": 1, "random_seed": 0}


def with_onnx(model):
    model.save_model(f"{sys.argv[1]}/model.onnx", format="onnx")
    return onnxruntime.InferenceSession(f"{sys.argv[1]}/model.onnx").run(None, {"features": rows})


def through_json(model):
    model.save_model(f"{sys.argv[1]}/model.json", format="json")
    return type(model)().load_model(f"{sys.argv[1]}/model.json", format="json")


def probabilities(model):
    return np.array([[row[name] for name in model.classes_] for row in with_onnx(model)[1]])


same = {}
for loss in ("RMSE", "Quantile:alpha=0.3", "Poisson", "Tweedie:variance_power=1.5"):
    model = CatBoostRegressor(loss_function=loss, **how).fit(rows, targets)
    right, answers = model.predict(rows), with_onnx(model)[0].ravel()
    same[loss] = np.allclose(right, answers, atol=1e-5), np.allclose(right, np.exp(answers), atol=1e-5)
    print(f"{loss:27} CatBoost {right[0]:.3f}, ONNX {answers[0]:.3f}")
    assert np.allclose(through_json(model).predict(rows), right)
classes = np.digitize(targets, [2.5, 3.5])
sums = {}
for loss in ("MultiClass", "MultiClassOneVsAll"):
    model = CatBoostClassifier(loss_function=loss, **how).fit(rows, classes)
    right, answers = model.predict_proba(rows), probabilities(model)
    same[loss] = np.allclose(right, answers, atol=1e-5)
    sums[loss] = right.sum(1), answers.sum(1)
    print(f"{loss:27} CatBoost {right[0].round(3)}, ONNX {answers[0].round(3)}")
model = CatBoostClassifier(**how).fit(rows, (targets > 3).astype(int))
model.set_probability_threshold(0.9)
right, answers = model.predict(rows), with_onnx(model)[0].ravel()
print(f"labels of a threshold of 0.9: CatBoost {np.bincount(right)}, ONNX {np.bincount(answers)}")
assert np.array_equal(through_json(model).predict(rows), right)
as_stated = [
    same["RMSE"][0] and same["Quantile:alpha=0.3"][0] and same["MultiClass"],
    same["Poisson"] == same["Tweedie:variance_power=1.5"] == (False, True),
    not same["MultiClassOneVsAll"],
    np.allclose(sums["MultiClassOneVsAll"][1], 1, atol=1e-5) and sums["MultiClassOneVsAll"][0].max() > 1.2,
    (right != answers).sum() > 10 and np.array_equal(answers, (model.predict_proba(rows)[:, 1] > 0.5).astype(int)),
]
sys.exit(0 if all(as_stated) else 1)
PYTHON
