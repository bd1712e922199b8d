#!/usr/bin/env bash
# onnx 1.23.2: version_converter.convert_version, of Upsample and Resize from before opset 11 and of Hardmax from before opset 13.
#
# Guess: the converted model computes what the model did, or the conversion fails, as that of Resize to an older opset does.
# Seen: linear scaling, and nearest by some factors that are not whole, gives other pixels: later opsets scale from the middles of
# pixels, earlier ones from their corners, and the converter does not write down which. Hardmax marks the greatest of each row,
# where it was the greatest of all behind the first axis. Softmax, which has changed alike, is converted rightly.
# Why it matters: to convert is the first thing to try with an old file that a runtime no longer reads. The check and shape
# inference pass, and the picture is moved by up to half a pixel of the small one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper, version_converter


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": rows})[0]


def before_and_after(node, opset, shape, scales=None):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, rows.shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    tensors = [] if scales is None else [numpy_helper.from_array(np.array(scales, "float32"), "scales")]
    graph = helper.make_graph([node], "graph", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    converted = version_converter.convert_version(model, 13)
    checker.check_model(converted, full_check=True)
    return run(model), run(converted)


seen = {}
rows = np.array([0, 10, 20, 60], "float32").reshape(1, 1, 1, 4)
for operator, opset in (("Upsample", 9), ("Resize", 10)):
    for mode, factor in (("nearest", 2), ("nearest", 1.75), ("linear", 2)):
        node = helper.make_node(operator, ["x", "scales"], ["y"], mode=mode)
        before, after = before_and_after(node, opset, [1, 1, 1, int(4 * factor)], [1, 1, 1, factor])
        seen[f"{operator} {mode} {factor}"] = np.array_equal(before, after)
        print(f"{operator} {mode} by {factor}: opset {opset} {before.ravel().tolist()}, 13 {after.ravel().tolist()}")
rows = np.arange(6, dtype="float32").reshape(1, 2, 3)
for operator in ("Hardmax", "Softmax"):
    before, after = before_and_after(helper.make_node(operator, ["x"], ["y"]), 11, rows.shape)
    seen[operator] = np.allclose(before, after)
    print(f"{operator} of {rows.tolist()}: opset 11 {before.ravel().round(3)}, 13 {after.ravel().round(3)}")
right = {"Upsample nearest 2", "Resize nearest 2", "Softmax"}
sys.exit(0 if {name for name, same in seen.items() if same} == right else 1)
PYTHON
