#!/usr/bin/env bash
# onnxruntime 1.32.0, CPU (seen on x86-64): NaN in MaxPool, ReduceMax and ArgMax.
#
# Guess: NaN comes through, as in Relu of the same runtime, and as in PyTorch's and NumPy's maximum.
# Seen: it depends on its place. MaxPool keeps a NaN that is the last of its window and loses any other: of NaN, 1, 2, 3 it
# makes 3. ReduceMax keeps one that is the first. ArgMax passes over all but the first; NumPy gives the place of the NaN.
# Why it matters: "are the outputs finite?" is the usual check of a model and of its input; whether it notices a NaN is a
# matter of the pixel, and ArgMax names a class all the same.
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


def compute(operator, values, kind=TensorProto.FLOAT, **attributes):
    x, y = helper.make_tensor_value_info("x", TensorProto.FLOAT, None), helper.make_tensor_value_info("y", kind, None)
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], **attributes)], "one", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.array(values, "float32")})[0]


nan = float("nan")
windows = ([nan, 1, 2, 3], [1, nan, 2, 3], [1, 2, nan, 3], [1, 2, 3, nan])
pooled = [compute("MaxPool", [[window]], kernel_shape=[4]).item() for window in windows]
largest = [compute("ReduceMax", [window], axes=[1]).item() for window in windows]
positive = compute("Relu", [[nan]]).item()
places = [compute("ArgMax", [row], TensorProto.INT64, axis=1).item() for row in ([1, nan, 2], [nan, 1, 2])]
for window, one, other in zip(windows, pooled, largest):
    print(f"{window}: MaxPool {one}, ReduceMax {other}")
print("Relu of NaN:", positive)
print("ArgMax of 1, NaN, 2:", places[0], "; NumPy:", np.argmax([1, nan, 2]))
print("ArgMax of NaN, 1, 2:", places[1], "; NumPy:", np.argmax([nan, 1, 2]))
by_place = all(np.isnan(found).any() and not np.isnan(found).all() for found in (pooled, largest))
as_stated = by_place and np.isnan(positive) and places == [2, 0]
sys.exit(0 if as_stated else 1)
PYTHON
