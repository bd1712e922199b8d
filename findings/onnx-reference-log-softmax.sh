#!/usr/bin/env bash
# onnx 1.23.2, its ReferenceEvaluator, beside onnxruntime 1.32.0: LogSoftmax.
#
# Guess: the logarithm of a softmax is there as an operator of its own because it can be computed where the softmax is 0 in its type.
# Seen: it is the softmax in float32, and the logarithm of that. Of a logit that is 104 below the largest, or more, it is minus
# infinity, where onnxruntime has -104; of one that is 88 to 104 below, whose softmax has lost digits, it is off in the second
# decimal (-99.98 for -100). NumPy remarks on a division by zero, on standard error; nothing is raised.
# Why it matters: an export is often accepted by comparing it with this evaluator. A comparison on real logits then blames the export
# or the runtime, and whoever takes the evaluator for a small CPU runtime gets an infinite loss or a score that ends a beam search.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "xy")
graph = helper.make_graph([helper.make_node("LogSoftmax", ["x"], ["y"], axis=1)], "one", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
as_stated = True
for distance, expected in ((10, -10.0), (80, -80.0), (100, -99.98), (104, -np.inf), (1000, -np.inf)):
    logits = {"x": np.array([[distance, 0]], "float32")}
    reference, runtime = (evaluator.run(None, logits)[0][0, 1] for evaluator in (ReferenceEvaluator(model), session))
    print(f"logits {distance} and 0: {reference:.2f}; onnxruntime {runtime:.2f}")
    as_stated &= round(float(reference), 2) == expected and abs(runtime + distance) < 0.001
sys.exit(0 if as_stated else 1)
PYTHON
