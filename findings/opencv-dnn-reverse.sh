#!/usr/bin/env bash
# OpenCV 5.0.0 (opencv-python-headless 5.0.0.93), its DNN module: GRU and LSTM of an ONNX model with direction "reverse", and pooling
# with auto_pad "SAME_LOWER".
#
# Guess: they are carried out as onnxruntime does it; or the model is refused, as one with RNN is.
# Seen: a reverse GRU runs forwards. A reverse LSTM runs backwards, but the state that it gives as its last is the one of the last
# place, which has seen one step. MaxPool pads at the end, as for SAME_UPPER. Nothing is raised, and every shape is right.
# "forward" and "bidirectional", the usual ones, are right.
# Why it matters: a classifier of sequences reads the last state. A test of one step, or of a forward layer, shows nothing.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check opencv-python-headless==5.0.0.93 onnxruntime==1.32.0 onnx==1.23.2 \
    numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { code=$?; tail -n 20 "$folder/log"; exit $code; }
import sys

import cv2
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(0)
STEPS, FEATURES, HIDDEN, GATES = 5, 2, 3, {"GRU": 3, "LSTM": 4}


def run(node, rows, outputs, constants=()):
    """The outputs of onnxruntime, and those of OpenCV."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, rows.shape)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    tensors = [numpy_helper.from_array(array, name) for name, array in dict(constants).items()]
    graph = helper.make_graph([node], "one", [x], ends, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8).SerializeToString()
    right = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(list(outputs), {"x": rows})
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model, "uint8"))
    net.setInput(rows, "x")
    seen = net.forward(list(outputs))
    return right, [array.reshape(shape) for array, shape in zip(seen, outputs.values())]


def recurrent(operator, direction, rows):
    ways, gates = 2 if direction == "bidirectional" else 1, GATES[operator] * HIDDEN
    shapes = {"w": (ways, gates, FEATURES), "r": (ways, gates, HIDDEN), "b": (ways, 2 * gates)}
    weights = {name: np.random.default_rng(1).normal(size=shape).astype("float32") for name, shape in shapes.items()}
    node = helper.make_node(operator, ["x", *weights], ["steps", "last"], hidden_size=HIDDEN, direction=direction)
    if operator == "GRU":
        node.attribute.append(helper.make_attribute("linear_before_reset", 1))
    return run(node, rows, {"steps": (STEPS, ways, 1, HIDDEN), "last": (ways, 1, HIDDEN)}, weights)


def same(one, other):
    return np.allclose(one, other, atol=1e-4)


rows = random.normal(size=(STEPS, 1, FEATURES)).astype("float32")
seen = {}
for operator in GATES:
    for direction in ("forward", "bidirectional", "reverse"):
        right, got = recurrent(operator, direction, rows)
        seen[operator, direction] = [same(*pair) for pair in zip(right, got)]
        words = ["right" if one else "WRONG" for one in seen[operator, direction]]
        print(f"{operator:4} {direction:13} every step's state {words[0]}, last state {words[1]}")
(forwards, _), (_, gru) = recurrent("GRU", "forward", rows), recurrent("GRU", "reverse", rows)
(steps, _), (_, last) = recurrent("LSTM", "reverse", rows)
runs_forwards, one_step = all(map(same, forwards, gru)), same(last, steps[-1])
print(f"the reverse GRU runs forwards: {runs_forwards}; the reverse LSTM's last state has seen one step: {one_step}")

pictures = random.normal(size=(1, 1, 4, 4)).astype("float32")
pooled = {}
for end in ("SAME_UPPER", "SAME_LOWER"):
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], auto_pad=end)
    pooled[end] = run(node, pictures, {"y": pictures.shape})
    print(f"MaxPool {end}: {'right' if same(*pooled[end]) else 'WRONG'}")
padded_alike = same(pooled["SAME_LOWER"][1], pooled["SAME_UPPER"][0]) and not same(*pooled["SAME_LOWER"])

wrong = {("GRU", "reverse"): [False, False], ("LSTM", "reverse"): [True, False]}
as_stated = all(found == wrong.get(case, [True, True]) for case, found in seen.items())
sys.exit(0 if as_stated and runs_forwards and one_step and padded_alike else 1)
PYTHON
