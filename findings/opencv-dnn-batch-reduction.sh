#!/usr/bin/env bash
# OpenCV 5.0.0 (opencv-python-headless 5.0.0.93), its DNN module: ReduceMean, ReduceSum and ReduceMax of an ONNX model over the batch
# and two more axes, as the mean of each channel over all pictures.
#
# Guess: every picture counts once.
# Seen: from three pictures on, the second stands in for all that follow: of n pictures the first counts once, the second n - 1 times
# and the others never. So it is with one thread and both engines. Two pictures, one channel, or axes without the batch are right.
# Why it matters: this is how a graph normalises by the statistics of its batch (MeanVarianceNormalization's default axes are
# these). Tests with one or two pictures pass, no shape is wrong, and the result is plausible.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check opencv-python-headless==5.0.0.93 onnx==1.23.2 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import cv2
import numpy as np
from onnx import TensorProto, helper

AXES = {"batch, rows, columns": [0, 2, 3], "rows, columns": [2, 3], "batch, rows": [0, 2]}


def reduce(operator, pictures, axes, engine=cv2.dnn.ENGINE_AUTO):
    shape = np.sum(pictures, axis=tuple(axes)).shape
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, pictures.shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], axes=axes, keepdims=0)], "reduction", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8).SerializeToString()
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model, "uint8"), engine)
    net.setInput(pictures, "x")
    return net.forward().reshape(shape)


cv2.setNumThreads(1)
wrong = []
for count in (1, 2, 3, 5):
    pictures = np.arange(count * 48, dtype="float32").reshape(count, 3, 4, 4)
    for name, axes in AXES.items():
        for operator, right in (("ReduceMean", np.mean), ("ReduceSum", np.sum), ("ReduceMax", np.max)):
            if not np.allclose(reduce(operator, pictures, axes), right(pictures, axis=tuple(axes)), rtol=1e-5):
                wrong.append((count, name, operator))
for case in wrong:
    print("WRONG: %d pictures, %s, %s" % case)
expected = [(n, "batch, rows, columns", name) for n in (3, 5) for name in ("ReduceMean", "ReduceSum", "ReduceMax")]

weights = {}
for engine in ("ENGINE_CLASSIC", "ENGINE_NEW"):
    weights[engine] = []
    for index in range(5):
        one = np.zeros((5, 3, 2, 2), "float32")
        one[index] = 1 / 4
        weights[engine].append(float(reduce("ReduceSum", one, [0, 2, 3], getattr(cv2.dnn, engine))[0]))
    print(f"how often each of five pictures counts in a sum, {engine}: {weights[engine]}")
sys.exit(0 if wrong == expected and all(seen == [1, 4, 0, 0, 0] for seen in weights.values()) else 1)
PYTHON
