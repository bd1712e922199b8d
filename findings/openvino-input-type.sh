#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU: a compiled model with an input of 8-bit pixels (u8), called with NumPy arrays of other types.
#
# Guess: values that u8 cannot hold are an error, as any other type is to onnxruntime.
# Seen: they are cast in silence: 300 becomes 44, -1 becomes 255, and a picture scaled to 0 to 1 is black but for its whitest
# pixels. Strings of digits are read as numbers.
# Why it matters: u8 is what one puts in front of a model so that it normalises by itself. A client that sends 0 to 1, or 16 bits,
# gets an answer about another picture; the types have to be compared before the call.
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
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

x, y = (helper.make_tensor_value_info(name, TensorProto.UINT8, [None]) for name in "xy")
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
core = openvino.Core()
compiled = core.compile_model(core.read_model(model), "CPU")
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def refused(array):
    try:
        session.run(["y"], {"x": array})
    except InvalidArgument:
        return True
    return False


cases = {
    "uint8": np.array([0, 128, 255], "uint8"),
    "int64": np.array([300, -1, 5]),
    "uint16": np.array([256, 4095, 65280], "uint16"),
    "float32": np.array([0.2, 0.998, 1.0], "float32"),
    "strings": np.array(["7", "12", "200"]),
}
seen, refusals = [], []
for name, array in cases.items():
    seen.append(compiled({"x": array})["y"].tolist())
    refusals.append(refused(array))
    print(f"{name:8} {array.tolist()}: OpenVINO {seen[-1]}, onnxruntime {'refuses it' if refusals[-1] else 'takes it'}")
cast = [[0, 128, 255], [44, 255, 5], [0, 255, 0], [0, 0, 1], [7, 12, 200]]
sys.exit(0 if seen == cast and refusals == [False, True, True, True, True] else 1)
PYTHON
