#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU (x86-64): ONNX's Div of 8-bit integers.
#
# Guess: the quotient is cut off, as by NumPy and onnxruntime, and by OpenVINO itself for these numbers in 32 bits: 9 // 16 is 0.
# Seen: the quotient is rounded to the nearest: 9 // 16 is 1. Where the graph goes on with a Cast to float and a product, and the
# quotient is not an output itself, it is not rounded at all: half of 9 // 16 is 0.28125, though the tensor between is 8-bit.
# Why it matters: u8 is what a picture is, and levels are put into bins by such a division. The same model has other bins in
# OpenVINO, and others again once somebody makes them an output to look at them.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 \
    numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

core = openvino.Core()
onnxruntime.set_default_logger_severity(3)


def divide(levels, by, outputs):
    """What onnxruntime and OpenVINO give for the `outputs`: "bin", and "half", the half of it in float."""
    kind = helper.np_dtype_to_tensor_dtype(levels.dtype)
    x = helper.make_tensor_value_info("x", kind, [None])
    ends = {"bin": helper.make_tensor_value_info("bin", kind, [None])}
    ends["half"] = helper.make_tensor_value_info("half", TensorProto.FLOAT, [None])
    nodes = [helper.make_node("Div", ["x", "by"], ["bin"])]
    if "half" in outputs:
        nodes.append(helper.make_node("Cast", ["bin"], ["as_float"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", ["as_float", "factor"], ["half"]))
    constants = {"by": np.array([by], levels.dtype), "factor": np.array([0.5], "float32")}
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "bins", [x], [ends[name] for name in outputs], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return session.run(outputs, {"x": levels}), [np.array(compiled({"x": levels})[name]) for name in outputs]


levels = np.arange(256)
bins = levels // 16
stated = {
    ("uint8", "bin"): [np.round(levels / 16)],
    ("uint8", "half"): [levels / 16 / 2],
    ("uint8", "bin", "half"): [np.round(levels / 16), np.round(levels / 16) / 2],
    ("int32", "bin"): [bins],
    ("int32", "half"): [bins / 2],
    ("int32", "bin", "half"): [bins, bins / 2],
}
as_stated = True
for (kind, *outputs), expected in stated.items():
    right, seen = divide(levels.astype(kind), 16, outputs)
    for name, one, other, guess in zip(outputs, right, seen, expected):
        wrong = int((one != other).sum())
        beside = "" if len(outputs) == 1 else ", both given"
        print(f"{kind:5} {name:4} of 9 by 16: onnxruntime {one[9]}, OpenVINO {other[9]}; of 256 {wrong} are wrong{beside}")
        as_stated &= np.array_equal(one, bins if name == "bin" else bins / 2) and np.array_equal(other, guess)
sys.exit(0 if as_stated else 1)
PYTHON
