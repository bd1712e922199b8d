#!/usr/bin/env bash
# onnxruntime 1.32.0: an input array in big-endian byte order.
#
# Guess: it is converted, as arrays with strides are, or refused, as one of another type is and as ONNX's own
# numpy_helper does.
# Seen: it passes the check of types, as both are float32 to it, and its bytes are read in the machine's order: 1.0 is
# computed as 4.6e-41, with nothing raised. (On a little-endian machine, which nearly all are.)
# Why it matters: FITS, IDX (MNIST's kind of file) and many wire formats are big-endian, and np.frombuffer(data, ">f4")
# keeps that; the model answers as for a picture of nothing.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "xy")
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
native = np.array([1, 2, 300], "float32")
big = native.astype(">f4")
assert np.array_equal(native, big)  # to NumPy they are equal
print("Relu of native order:", session.run(None, {"x": native})[0])
wrong = session.run(None, {"x": big})[0]
print("Relu of big-endian:  ", wrong)
try:
    numpy_helper.from_array(big)
    refused = False
except ValueError as error:
    print("onnx.numpy_helper:    ValueError:", error)
    refused = True
sys.exit(0 if refused and not np.allclose(wrong, native) else 1)
PYTHON
