#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU: ONNX models with LSTM of input_forget=1, with LSTM, GRU and RNN of layout=1, and with MaxPool that gives
# its places with storage_order=1.
#
# Guess: what an attribute says is computed, or the model is refused, as layout=1 is by onnxruntime.
# Seen: all three are passed over in silence. With input_forget=1 the forget gate keeps weights of its own: the answer is that of
# 0, to the last bit. With layout=1 the rows of a batch are taken for steps: the answer is that of layout 0 of the same array, and
# a row's answer changes with the row before it. The place of the largest, asked for by columns, is given by rows. What is right
# is taken from NumPy (input_forget), from onnxruntime, and, for layout, from the same net with the steps first.
# Why it matters: other users' rows are mixed into an answer, and nothing looks amiss where batch and steps are free or of one
# size. (layout is known to the makers, as issue 37820.)
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 \
    || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

STEPS, ROWS, WIDTH, HIDDEN = 3, 2, 4, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
core = openvino.Core()
random = np.random.default_rng(0)
steps_first = random.normal(size=(STEPS, ROWS, WIDTH)).astype("float32")
weights = {}
for operator, gates in GATES.items():
    shapes = {"w": (1, gates * HIDDEN, WIDTH), "r": (1, gates * HIDDEN, HIDDEN)}
    weights[operator] = {name: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def model_of(operator, inputs, outputs, kind, shape, constants=(), **attributes):
    node = helper.make_node(operator, inputs, outputs, **attributes)
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    found = helper.make_tensor_value_info(outputs[-1], kind, [None] * 4)
    graph = helper.make_graph([node], operator, [given], [found], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def in_openvino(octets, x):
    return core.compile_model(core.read_model(octets), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})[0]


def in_onnxruntime(octets, x):
    return onnxruntime.InferenceSession(octets, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def recurrent(operator, **attributes):
    """A model that gives all states."""
    constants = [numpy_helper.from_array(array, name) for name, array in weights[operator].items()]
    attributes["hidden_size"] = HIDDEN
    return model_of(operator, ["x", "w", "r"], ["y"], TensorProto.FLOAT, [None, None, WIDTH], constants, **attributes)


def coupled():
    """The states of an LSTM that forgets what it does not take."""
    w, r = (weights["LSTM"][name][0].astype(float) for name in "wr")
    state, cell, states = np.zeros((ROWS, HIDDEN)), np.zeros((ROWS, HIDDEN)), []
    for x in steps_first:
        sums = np.split(x @ w.T + state @ r.T, 4, axis=1)  # input, output, forget, cell
        take, out = (1 / (1 + np.exp(-total)) for total in sums[:2])
        cell = (1 - take) * cell + take * np.tanh(sums[3])
        state = out * np.tanh(cell)
        states.append(state)
    return np.array(states)[:, None]


right = coupled()
in_ort = in_onnxruntime(recurrent("LSTM", input_forget=1), steps_first)
own, one = (in_openvino(recurrent("LSTM", input_forget=flag), steps_first) for flag in (0, 1))
checks = {
    "input_forget=1: onnxruntime is as NumPy": np.allclose(in_ort, right, atol=1e-5),
    "input_forget=1: OpenVINO is as with 0": np.array_equal(own, one) and float(np.abs(one - right).max()) > 0.05,
}
rows_first = steps_first.transpose(1, 0, 2).copy()
changed = rows_first.copy()
changed[0] = 0
for operator in GATES:
    whole, other = (in_openvino(recurrent(operator, layout=1), x) for x in (rows_first, changed))
    usual = in_openvino(recurrent(operator), steps_first)  # [steps, 1, rows, hidden]
    expected = in_onnxruntime(recurrent(operator), steps_first)
    checks[f"{operator}: layout=0 is as onnxruntime"] = np.allclose(usual, expected, atol=1e-5)
    as_usual = in_openvino(recurrent(operator), rows_first)
    checks[f"{operator}: layout=1 is as 0 of the same array"] = np.array_equal(whole, as_usual)
    apart = float(np.abs(whole.reshape(ROWS, STEPS, HIDDEN) - expected[:, 0].transpose(1, 0, 2)).max())
    moved = float(np.abs(whole[1] - other[1]).max())
    print(f"{operator}, layout=1: off by {apart:.2f}; the second row moves by {moved:.2f} with what the first holds")
    checks[f"{operator}: rows are mixed"] = apart > 0.1 and moved > 0.1
picture = np.zeros((1, 1, 2, 3), "float32")
picture[0, 0, 0, 2] = 1  # row 0, column 2: place 2 by rows, 4 by columns
octets = model_of("MaxPool", ["x"], ["top", "y"], TensorProto.INT64, [1, 1, 2, 3], kernel_shape=[2, 3], storage_order=1)
places = {name: int(run(octets, picture).item()) for name, run in (("OpenVINO", in_openvino), ("onnxruntime", in_onnxruntime))}
print("MaxPool by columns, place of the largest:", places)
checks["MaxPool: 2 for 4"] = places == {"OpenVINO": 2, "onnxruntime": 4}
for name, seen in checks.items():
    print(f"{name}: {seen}")
sys.exit(0 if all(checks.values()) else 1)
PYTHON
