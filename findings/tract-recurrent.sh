#!/usr/bin/env bash
# tract 0.23.9: ONNX models with RNN, GRU and LSTM that run in reverse; RNN of Relu; clip.
#
# Guess: what PyTorch's RNN, GRU and LSTM export (direction, activations) is computed, or the model is refused.
# Seen: direction "reverse" is read from the first step to the last, as "forward": the answers of the two are the same to the last
# bit. The second half of "bidirectional" with the same weights is right. An RNN of Relu answers as one of tanh, and clip bounds
# nothing. Nothing is raised or warned. onnxruntime, and the forward net on a sequence turned around by hand, show what is right.
# Why it matters: shapes and ranges are as they should be, a sequence of one step is right, and so is a bidirectional net.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check tract==0.23.9 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 \
    || exit 2
"$folder/venv/bin/python" - "$folder/model.onnx" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import tract
from onnx import TensorProto, helper, numpy_helper

STEPS, ROWS, WIDTH, HIDDEN = 4, 1, 3, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
random = np.random.default_rng(0)
x = random.normal(size=(STEPS, ROWS, WIDTH)).astype("float32")
weights = {}
for operator, gates in GATES.items():
    shapes = {"w": (1, gates * HIDDEN, WIDTH), "r": (1, gates * HIDDEN, HIDDEN), "b": (1, 2 * gates * HIDDEN)}
    weights[operator] = {name: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def run(operator, x=x, directions=1, **attributes):
    """All states, in tract and in onnxruntime; both directions of "bidirectional" have the same weights."""
    constants = [numpy_helper.from_array(np.repeat(array, directions, 0), name) for name, array in weights[operator].items()]
    outputs = ["all", "last", "cell"][: 3 if operator == "LSTM" else 2]
    node = helper.make_node(operator, ["x", "w", "r", "b"], outputs, hidden_size=HIDDEN, **attributes)
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)
    shapes = [[STEPS, directions, ROWS, HIDDEN]] + [[directions, ROWS, HIDDEN]] * 2
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(outputs, shapes)]
    graph = helper.make_graph([node], operator, [given], infos, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, sys.argv[1])
    answers = tract.onnx().load(sys.argv[1]).into_model().into_runnable().run([x])
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    return answers[0].to_numpy(), session.run(["all"], {"x": x})[0]


as_stated = True
for operator in GATES:
    forward, right_forward = run(operator)
    reverse, right_reverse = run(operator, direction="reverse")
    both, right_both = run(operator, directions=2, direction="bidirectional")
    by_hand = run(operator, x=x[::-1].copy())[0][::-1]
    checks = {
        "forward is right": np.allclose(forward, right_forward, atol=1e-5),
        "bidirectional is right": np.allclose(both, right_both, atol=1e-5),
        "turned around by hand it is right": np.allclose(by_hand, right_reverse, atol=1e-5),
        "reverse is the same as forward": np.array_equal(reverse, forward),
    }
    far = float(np.abs(reverse - right_reverse).max())
    print(f"{operator}: {checks}; reverse is off by {far:.2f}")
    as_stated = as_stated and all(checks.values()) and far > 0.3
relu, right_relu = run("RNN", activations=["Relu"])
tanh = run("RNN")[0]
print("RNN of Relu, the first states:", np.round(relu.ravel()[:4], 3), "onnxruntime", np.round(right_relu.ravel()[:4], 3))
print("    the same as RNN of Tanh:", np.array_equal(relu, tanh))
as_stated = as_stated and np.array_equal(relu, tanh) and not np.allclose(relu, right_relu, atol=0.1)
for operator in ("RNN", "GRU"):
    clipped, right_clipped = run(operator, clip=0.3)
    same, far = np.array_equal(clipped, run(operator)[0]), float(np.abs(clipped - right_clipped).max())
    print(f"{operator} with clip=0.3: the same as without: {same}; off by {far:.2f}")
    as_stated = as_stated and same and far > 0.1
sys.exit(0 if as_stated else 1)
PYTHON
