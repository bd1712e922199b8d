#!/usr/bin/env bash
# onnxruntime 1.32.0: two inputs of a model that share a named dimension, here "batch".
#
# Guess: a request in which "batch" is 2 for one input and 1 for the other is refused, as a wrong fixed dimension is.
# Seen: names are not compared. It runs, and broadcasts the one row over the two.
# Why it matters: the name in the signature reads like a promise, and batching servers rely on it; rows of one caller
# would be computed with another input's row, without an error. The server has to compare them itself.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def added(dimension, rows_of_a, rows_of_b):
    a, b, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [dimension, 3]) for name in "aby")
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "add", [a, b], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {"a": np.ones((rows_of_a, 3), "float32"), "b": np.ones((rows_of_b, 3), "float32")}
    try:
        return session.run(None, inputs)[0].shape
    except onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument:
        return "refused"


named, fixed = added("batch", 2, 1), added(2, 2, 1)
print('dimension "batch", inputs of 2 and 1 rows: output', named)
print("dimension 2, inputs of 2 and 1 rows:      ", fixed)
sys.exit(0 if (named, fixed) == ((2, 3), "refused") else 1)
PYTHON
